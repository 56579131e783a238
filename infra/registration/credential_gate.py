"""Waits for live runs before the password of the stack's own Prefect server changes.

A server accepts one password, and a live run keeps the one that it was started with: after the change the server would
refuse its requests, and the run would end Crashed. The Secret with the password depends on this resource.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, Resource, UpdateResult

from infra.registration import session
from infra.registration.errors import RegistrationError, log
from infra.registration.stateless import StatelessProvider

SETTING: Final = "prefectAuthString"

_CHANGE: Final = "change"
"""The Secret that the latest change of the password has replaced, `<uid>/<resource version>`; set by the check."""

_POLL: Final = 1.0
_MOST_NAMES: Final = 5


@dataclass(frozen=True, kw_only=True)
class CredentialGateArgs:
    """What changes, and what for it has to end.

    Attributes:
        namespace: of the flow runs' Jobs.
        secret: name of the Secret with the password.
        secret_key: key in it.
        deadline: seconds for which live runs are waited for.
        secret_namespace: of the Secret; that of the Jobs if unset.
        context: kubeconfig context; the current one if unset.

    """

    namespace: str
    secret: str
    secret_key: str
    deadline: int
    secret_namespace: str | None = None
    context: str | None = None


class CredentialGate(Resource, module="kubernetes", name="CredentialGate"):
    """An update of it waits for live runs. It is updated when the configured password is not that of the Secret."""

    def __init__(self, name: str, args: CredentialGateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {key: value for key, value in vars(args).items() if value is not None}
        super().__init__(CredentialGateProvider(), name, props, opts)


class Runs(Protocol):
    """The live runs of a namespace."""

    def live_jobs(self) -> Sequence[str]:
        """Return the names of Jobs that have not ended."""


class CredentialGateProvider(StatelessProvider):
    """Compares in its check, and waits in its creation or update."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Note whether the configured password differs from the Secret's, without storing either."""
        change = _olds.get(_CHANGE) or ""
        try:
            current, version = _secret(news)
            if current and current != session.configured(SETTING):
                change = version
                if names := _Cluster(news).live_jobs():
                    until = f"up to {news['deadline']} s for live runs"
                    log("warning", f"{SETTING} changes: the update waits {until}: {_listed(names)}.")
        except RegistrationError as error:
            log("warning", f"Whether {SETTING} changes could not be read, so live runs are not waited for. {error}")
        return CheckResult({**news, _CHANGE: change}, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait if an existing Secret is about to change."""
        if props.get(_CHANGE):
            wait(_Cluster(props), props["deadline"])
        return super().create(props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Wait if the password changes."""
        if _olds.get(_CHANGE) != _news.get(_CHANGE):
            wait(_Cluster(_news), _news["deadline"])
        return super().update(_id, _olds, _news)


def wait(
    runs: Runs,
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as no run is live.

    Raises:
        RegistrationError: runs are live after the deadline; the password has not changed.

    """
    end = clock() + deadline
    names = runs.live_jobs()
    if names:
        log("info", f"{SETTING} changes: waiting up to {deadline} s for live runs: {_listed(names)}.")
    while names:
        if clock() >= end:
            raise RegistrationError(
                f"{SETTING} was not changed: {len(names)} flow run(s) are live",
                why=f"{_listed(names)} have the old one, and the server would refuse their requests; the update has"
                f" waited for {deadline} s",
                remedy="pause the work pools and wait for the runs or cancel them, then run the update again",
            )
        pause(_POLL)
        names = runs.live_jobs()


class _Cluster:
    def __init__(self, props: dict[str, Any]) -> None:
        from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

        self._cluster = Cluster(props["namespace"], props.get("context"))

    def live_jobs(self) -> Sequence[str]:
        return self._cluster.live_objects().jobs


def _secret(props: dict[str, Any]) -> tuple[str, str]:
    """Return the value of the Secret and its version; both empty if it does not exist."""
    from infra.registration.kubernetes import read_secret  # noqa: PLC0415  a second to import

    namespace = props.get("secret_namespace") or props["namespace"]
    secret = read_secret(namespace, props["secret"], props.get("context"))
    if secret is None:
        return "", ""
    metadata = secret["metadata"]
    encoded = (secret.get("data") or {}).get(props["secret_key"], "")
    return base64.b64decode(encoded).decode(), f"{metadata['uid']}/{metadata['resourceVersion']}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
