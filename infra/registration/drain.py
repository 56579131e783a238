"""The end of a stack's live runs, before anything that they need goes.

A resource that depends on the whole stack is deleted first. This one makes nothing; its deletion is the drain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pulumi
from pulumi import Input
from pulumi.dynamic import ConfigureRequest, CreateResult, Resource

from infra.registration import session
from infra.registration.api import GLANCE, PrefectApi, path
from infra.registration.encoding import decode
from infra.registration.endpoint import Reach, to_props
from infra.registration.errors import RegistrationError, UnreachableError, say
from infra.registration.provider import REACH
from infra.registration.stateless import RememberingProvider

if TYPE_CHECKING:
    from infra.registration.kubernetes import Found

Runs = Literal["wait", "cancel", "refuse"]

_LIVE: Final = ["RUNNING", "PENDING", "CANCELLING"]
_POLL: Final = 1.0
"""Seconds between two looks."""

_OPERATOR: Final = 60.0
"""Seconds that the Dask operator gets to take a cluster down; it takes two to ten."""

_NAMED: Final = 5
"""Runs that a refusal names; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class DrainArgs:
    """What is drained, and how.

    Attributes:
        reach: where the Prefect API is.
        namespace: where runs and their Dask clusters live.
        pools: work pools that are paused.
        runs: what happens to live runs: `refuse` ends the destroy with an error, `cancel` cancels them, `wait`
            lets them end and cancels those that do not.
        deadline: seconds until what has not ended is ended.

    """

    reach: Reach
    namespace: Input[str]
    pools: Sequence[Input[str]]
    runs: Runs = "cancel"
    deadline: int = 300


class Drain(Resource, module="prefect", name="Drain"):
    """Pauses the work pools, ends live runs and deletes their Dask clusters when the stack is destroyed."""

    def __init__(self, name: str, args: DrainArgs, opts: pulumi.ResourceOptions) -> None:
        props = {
            REACH: to_props(args.reach),
            "namespace": args.namespace,
            "pools": list(args.pools),
            "runs": args.runs,
            "deadline": args.deadline,
        }
        super().__init__(DrainProvider(), name, props, opts)


class DrainProvider(RememberingProvider):
    """Does nothing until it is deleted."""

    def configure(self, req: ConfigureRequest) -> None:
        """See `session.configure`."""
        session.configure(req)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Remember what is to be drained, and tell of a pool that an earlier, interrupted destroy left paused."""
        fields = decode(props)
        for pool in _paused(session.api(fields), fields["pools"]):
            say("warning", f"Work pool '{pool}' is paused: `prefect work-pool resume '{pool}'` lets its runs start.")
        return super().create(props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Drain."""
        from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

        fields = decode(_props)
        cluster = Cluster(fields["namespace"], fields[REACH].get("context"))
        drain(session.api(fields), cluster, fields)


class _Namespace(Protocol):
    def look(self) -> Found: ...

    def delete_runs(self) -> None: ...

    def let_go(self, dask: tuple[str, ...]) -> None: ...


def drain(
    api: PrefectApi,
    cluster: _Namespace,
    fields: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Do it.

    A Prefect server that does not answer holds nothing up: its runs are ended in Kubernetes then.

    Args:
        api: the Prefect API.
        cluster: the stack's namespace.
        fields: `DrainArgs` as plain values.
        clock: monotonic seconds.
        pause: waits that many seconds.

    Raises:
        RegistrationError: runs are live and `runs` is `refuse`; the pools take runs again then.

    """

    def until(done: Callable[[], bool], seconds: float) -> bool:
        end = clock() + seconds
        while not done():
            if clock() >= end:
                return False
            pause(_POLL)
        return True

    pools, policy = fields["pools"], fields["runs"]
    paused = _pause(api, pools)
    reachable = paused is not None
    names = _live(api, pools) if reachable else cluster.look().jobs
    if names and policy == "refuse":
        for pool in paused or ():
            _set_paused(api, pool, paused=False)
        raise RegistrationError(
            f"The stack is not destroyed: {len(names)} flow run(s) are live",
            why=f"{_listed(names)}, and the stack's drain.runs is 'refuse'",
            remedy="let them end, or cancel them, or set drain.runs to 'cancel' or 'wait' and run `pulumi up` first",
        )
    if reachable:
        if names and policy == "wait":
            say("info", f"Waiting up to {fields['deadline']} s for {len(names)} live flow run(s): {_listed(names)}.")
            until(lambda: not _live(api, pools), fields["deadline"])
        if _cancel(api, pools):
            until(lambda: not _live(api, pools), min(fields["deadline"], _OPERATOR))
    cluster.delete_runs()
    until(lambda: not cluster.look().dask, _OPERATOR)
    if left := cluster.look().dask:
        say("warning", f"{_listed(left)} did not go in {_OPERATOR:.0f} s: the finalizers are taken away.")
        cluster.let_go(left)


def _pause(api: PrefectApi, pools: Sequence[str]) -> list[str] | None:
    """Pause the pools; return those that were not, or None when Prefect does not answer."""
    try:
        already = _paused(api, pools)
        changed = [pool for pool in pools if pool not in already]
        return [pool for pool in changed if _set_paused(api, pool, paused=True)]
    except UnreachableError as error:
        say("warning", f"Runs are ended in Kubernetes only. {error}")
        return None


def _paused(api: PrefectApi, pools: Sequence[str]) -> list[str]:
    found = {
        pool: api.get(path("work_pools", pool), doing=f"read work pool '{pool}'", deadline=GLANCE) for pool in pools
    }
    return [pool for pool, live in found.items() if live is not None and live.get("is_paused")]


def _set_paused(api: PrefectApi, pool: str, *, paused: bool) -> bool:
    """Pause or resume a pool; return whether it exists."""
    doing = f"{'pause' if paused else 'resume'} work pool '{pool}'"
    if api.get(path("work_pools", pool), doing=doing, deadline=GLANCE) is None:
        return False
    api.patch(path("work_pools", pool), {"is_paused": paused}, doing=doing)
    return True


def _runs(api: PrefectApi, pools: Sequence[str], states: Sequence[str]) -> list[Mapping[str, Any]]:
    body = {
        "flow_runs": {"state": {"type": {"any_": list(states)}}},
        "work_pools": {"name": {"any_": list(pools)}},
    }
    return list(api.post("/flow_runs/filter", body, doing="look for live flow runs"))


def _live(api: PrefectApi, pools: Sequence[str]) -> tuple[str, ...]:
    return tuple(each["name"] for each in _runs(api, pools, _LIVE))


def _cancel(api: PrefectApi, pools: Sequence[str]) -> bool:
    live = _runs(api, pools, _LIVE)
    for each in live:
        if each["state_type"] != "CANCELLING":
            state = {"state": {"type": "CANCELLING", "name": "Cancelling", "message": "The stack is destroyed."}}
            api.post(path("flow_runs", each["id"], "set_state"), state, doing=f"cancel flow run '{each['name']}'")
    return bool(live)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + rest
