"""The surroundings of a run's Dask cluster, as the platform describes them in the flow pod's environment."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect.logging import get_logger

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import pods, ports, prices, reserved, results
from ephemeral_dask.contract.pods import RunPods
from ephemeral_dask.contract.prices import Prices
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.precedence import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSED_ON: Final = (
    "PREFECT_API_URL",
    "PREFECT_LOGGING_LEVEL",
    "PREFECT_LOGGING_EXTRA_LOGGERS",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT",
    "PREFECT_LOCAL_STORAGE_PATH",
    "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK",
)
"""Variables that Dask pods get as the flow pod has them. Nothing here may hold a secret: everyone who may
read the DaskCluster sees them."""

_REMEDY: Final = "It is set by the work pool's base job template: run the deployment through that pool, unchanged."


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The flow run's own Kubernetes Job. When it goes, Kubernetes removes the Dask cluster."""

    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class Credential:
    """The Prefect credential of Dask workers.

    Attributes:
        variable: environment variable that holds it.
        secret: where Kubernetes takes the value from.

    """

    variable: str
    secret: SecretRef


@dataclass(frozen=True, kw_only=True)
class ResultVolume:
    """The volume with task results: Dask workers mount it as the flow pod does.

    Attributes:
        claim: name of the PersistentVolumeClaim.
        path: where they mount it.
        folder: of the volume, which is all that they mount; the whole volume if None.

    """

    claim: str
    path: str
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class PodContext:
    """What the Dask cluster's manifest needs to know about its surroundings.

    Attributes:
        namespace: namespace of the Dask cluster.
        image: image of scheduler and workers, that of the flow pod.
        service_account: ServiceAccount of scheduler and workers; None is the namespace's default.
        owner: the run's Job, or None when the pod was not started by one.
        credential: Prefect credential of workers by reference, or None when the API requires none.
        deployment: Prefect deployment's name as a label value, or None.
        results: volume with task results, or None when they are kept elsewhere or not at all.
        dashboard: address of a dashboard for people's browsers, {cluster} and {namespace} to be filled in; by
            default that of `make dashboard`.
        user: UID of the flow pod, which the Dask pods use as well, so that a shared volume has one owner; None leaves
            it to the image.
        passed_on: environment variables that Dask pods get unchanged.
        own_env: the job variable `env` of the deployment or the run, which takes precedence over all other variables.
        pods: the stack's additions to the pods of the run.
        job_variables: values of the work pool's own job variables, for placeholders in patches.
        prices: what the stack pays for what pods request; None where it has no prices.
        ipv6: whether pods have IPv6 addresses, or prefer them, as the Service of the Kubernetes API does.
        tls: whether each Dask cluster gets certificates of its own, without which nothing connects to it.

    """

    namespace: str
    image: str
    service_account: str | None = None
    owner: Owner | None = None
    credential: Credential | None = None
    deployment: str | None = None
    results: ResultVolume | None = None
    dashboard: str = f"http://127.0.0.1:{ports.DASHBOARD_FORWARD}/status"
    user: int | None = None
    passed_on: Mapping[str, str]
    own_env: Mapping[str, str] = field(default_factory=dict)
    pods: RunPods = field(default_factory=RunPods)
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    prices: Prices | None = None
    ipv6: bool = False
    tls: bool = False

    def dashboard_of(self, cluster: str) -> str:
        """Return where a person's browser finds the dashboard of a cluster."""
        return self.dashboard.replace("{cluster}", cluster).replace("{namespace}", self.namespace)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> PodContext | None:
        """Read the flow pod's environment; None outside Kubernetes.

        Raises:
            SettingsError: half of a pair is missing, there is a namespace and no image, or the deployment sets a
                variable that the platform owns.

        """
        namespace = environ.get(env.NAMESPACE)
        if not namespace:
            return None
        image = environ.get(env.IMAGE)
        if not image:
            raise SettingsError(f"{env.IMAGE} is not set, so the image of the Dask pods is unknown. {_REMEDY}")
        job = _all_or_none(environ, env.JOB_NAME, env.JOB_UID)
        secret = _all_or_none(environ, env.API_SECRET_NAME, env.API_SECRET_KEY, env.API_SECRET_VARIABLE)
        volume = _all_or_none(environ, env.RESULTS_CLAIM, env.RESULTS_PATH)
        return cls(
            namespace=namespace,
            image=image,
            service_account=environ.get(env.SERVICE_ACCOUNT) or None,
            owner=Owner(name=job[0], uid=job[1]) if job else None,
            credential=Credential(variable=secret[2], secret=SecretRef(secret[0], secret[1])) if secret else None,
            deployment=environ.get(env.DEPLOYMENT) or None,
            results=ResultVolume(claim=volume[0], path=volume[1], folder=_folder(environ)) if volume else None,
            **({"dashboard": environ[env.DASHBOARD]} if environ.get(env.DASHBOARD) else {}),
            user=os.getuid() or None,  # Dask pods must not run as root, even where the flow pod does
            passed_on={name: environ[name] for name in _PASSED_ON if environ.get(name)},
            own_env=_own_env(_mapping(environ, env.ENV)),
            pods=_run_pods(environ.get(env.PODS, "")),
            job_variables=_mapping(environ, env.JOB_VARIABLES),
            prices=_prices(environ.get(env.PRICES, "")),
            ipv6=":" in environ.get("KUBERNETES_SERVICE_HOST", ""),
            tls=environ.get(env.TLS) == "true",
        )


def _folder(environ: Mapping[str, str]) -> str | None:
    # Empty for a run without a deployment.
    return results.folder(environ[env.DEPLOYMENT_ID]) if env.DEPLOYMENT_ID in environ else None


def _mapping(environ: Mapping[str, str], name: str) -> dict[str, Any]:
    """Read a mapping as Prefect's worker writes it."""
    try:
        return dict(ast.literal_eval(environ.get(name) or "{}"))
    except (SyntaxError, TypeError, ValueError):
        raise SettingsError(f"{name} cannot be read. {_REMEDY}") from None


def _own_env(values: Mapping[str, Any]) -> dict[str, str]:
    """Check the job variable `env`."""
    if errors := reserved.variable_errors(values):
        raise SettingsError(f"The job variable 'env' of the deployment or the run {'; '.join(errors)}.")
    return {name: str(value) for name, value in values.items() if value is not None}


def _run_pods(text: str) -> RunPods:
    try:
        return pods.decode(text or "{}")
    except ValueError as error:
        raise SettingsError(f"{env.PODS} cannot be read: {error}. {_REMEDY}") from None


def _prices(text: str) -> Prices | None:
    """Read the prices; without them the summary says no cost, for which no run fails."""
    try:
        return prices.decode(text) if text else None
    except ValueError as error:
        get_logger(__name__).warning("%s cannot be read: %s. %s", env.PRICES, error, _REMEDY)
        return None


def _all_or_none(environ: Mapping[str, str], *names: str) -> list[str]:
    values = [environ.get(name, "") for name in names]
    if not any(values):
        return []
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing:
        present = next(name for name in names if name not in missing)
        raise SettingsError(f"{missing[0]} is not set, but {present} is, and they go together. {_REMEDY}")
    return values
