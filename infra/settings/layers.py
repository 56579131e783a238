"""Which of a stack's additions apply to which pods of a work pool's runs.

Precedence, lowest first: the stack's `pods`, the work pool's `pods`, what is set for one kind of pod. A profile and a
deployment's own `env` follow in the flow pod.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ephemeral_dask.contract import pods, reserved
from ephemeral_dask.contract.pods import PodExtras, RunPods
from infra.settings.flow_run import FlowRun
from infra.settings.pod_extras import CaBundle
from infra.settings.root import Settings

CA_VOLUME: Final = "ca-bundle"
_CA_FOLDER: Final = "/etc/ephemeral-dask/ca"
_CA_FILE: Final = f"{_CA_FOLDER}/ca.crt"

CA_VARIABLES: Final = (
    # Python's ssl module, and with it httpx; Prefect's client for HTTP and websockets.
    "SSL_CERT_FILE",
    "PREFECT_API_SSL_CERT_FILE",
    # requests; boto3 and s3fs; curl and git, for pull steps.
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
"""Environment variables by which programs find CA certificates."""


def flow_run(settings: Settings, pool: str) -> FlowRun:
    """Return the flow pods' settings of a work pool: its own, or the stack's."""
    return settings.work_pools[pool].flow_run or settings.flow_run


def run_pods(settings: Settings, pool: str) -> RunPods:
    """Return the additions to the pods of a work pool's runs, as its template hands them to flow pods."""
    common = pods.merged(ca_extras(settings.ca_bundle), settings.pods.extras(), settings.work_pools[pool].pods.extras())
    dask = settings.dask
    return RunPods(
        common=common,
        flow=pods.merged(common, flow_run(settings, pool).pod.extras()),
        scheduler=pods.merged(common, dask.scheduler.extras()),
        worker=pods.merged(common, dask.worker_pod.extras()),
        scheduler_cpu=dask.scheduler.cpu or "",
        scheduler_memory=dask.scheduler.memory or "",
    )


def mount_errors(settings: Settings) -> list[str]:
    """Return key and sentence for each volume that would be mounted where another layer mounts one.

    Kubernetes refuses such a pod. Two volumes of one layer are refused where they are read.
    """
    errors: dict[tuple[str, str], str] = {}
    for pool in settings.work_pools:
        for key, extras in _kinds(settings, pool):
            names: dict[str, str] = {}
            for name, volume in extras.volumes.items():
                path = reserved.mount_folder(volume["mount"]["mountPath"])
                if path in names:
                    errors[name, key] = (
                        f"{key}: volumes '{names[path]}' and '{name}' are both mounted at {path} in one pod: give each"
                        " a folder of its own, or the same name if one is to replace the other"
                    )
                names[path] = name
    return list(errors.values())


def _kinds(settings: Settings, pool: str) -> Iterator[tuple[str, PodExtras]]:
    """Yield key and additions of each kind of pod."""
    made = run_pods(settings, pool)
    yield from (("flowRun.pod", made.flow), ("dask.scheduler", made.scheduler), ("dask.workerPod", made.worker))
    for name, profile in settings.dask.profiles.items():
        own = profile.contract()
        yield f"dask.profiles.{name}", pods.merged(made.worker, own.pod)
        yield f"dask.profiles.{name}.scheduler", pods.merged(made.scheduler, own.pod.shared(), own.scheduler.pod)
        if own.large:
            yield f"dask.profiles.{name}.largeWorkers", pods.merged(made.common, own.pod.shared(), own.large.pod)


def ca_extras(bundle: CaBundle | None) -> PodExtras:
    """Return the volume with the stack's CA certificates, and the variables that name it."""
    if bundle is None:
        return PodExtras()
    volume: dict[str, Any] = {"source": bundle.source(), "mount": {"mountPath": _CA_FOLDER, "readOnly": True}}
    return PodExtras(env=dict.fromkeys(CA_VARIABLES, _CA_FILE), volumes={CA_VOLUME: volume})
