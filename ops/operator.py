"""Start-up of the Dask operator for one namespace.

    kopf run -m ops.operator --namespace=NAMESPACE --liveness=http://0.0.0.0:8080/healthz

It imports dask-kubernetes' own operator and restricts it: it does not watch namespaces and CRDs, so a Role suffices,
its liveness probe fails if a DaskCluster is not handled, its clock need not be that of the schedulers, and
objects do not need it to be deleted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dask_kubernetes.operator.controller  # noqa: F401  the import registers the operator's handlers
import httpx
import kopf
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract import dask
from ephemeral_dask.contract import environment as env
from ops import finalizers, idle_time
from ops.clusters import HANDLED_WITHIN

KINDS: Final = frozenset({"DaskCluster", "DaskWorkerGroup", "DaskJob", "DaskAutoscaler"})

_started: Final = datetime.now(UTC)

idle_time.install()
finalizers.install()


@kopf.on.startup(id="restrict")
async def restrict(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Configure kopf for one namespace, and wait until Kubernetes serves the kinds that it watches.

    Without access to CRDs, kopf watches only the kinds that exist when it starts, and never notices others.
    """
    for noisy in ("httpx", "aiohttp.access", "kopf.activities.probe"):  # at least one line per probe
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings.scanning.disabled = True
    settings.peering.standalone = True
    # Every event is a write to the API server. A run's diagnosis reads the warnings and errors.
    settings.posting.level = logging.WARNING
    # With kopf's default of 60 s, a DaskCluster that is deleted during a timer stays for a minute, and a handler that
    # gets an error of the API server leaves a cluster incomplete for as long.
    settings.background.cancellation_polling = 1.0
    settings.execution.default_backoff = 3.0
    if missing := KINDS - await _served():
        raise kopf.TemporaryError(
            f"Kubernetes does not serve {', '.join(sorted(missing))} ({dask.API_VERSION}) yet: apply the custom "
            "resource definitions of dask-kubernetes. The operator waits for them.",
            delay=2,
        )


@kopf.on.probe(id="handles", errors=kopf.ErrorsMode.PERMANENT)
async def handles(**_: Any) -> int:
    """Return the number of DaskClusters to the probe, or fail if one of them is not handled.

    A watch can stop delivering events without an error. New clusters then get no phase, until a restart.
    """
    api = await kr8s.asyncio.api()
    namespace = os.environ[env.NAMESPACE]
    async with api.call_api("GET", version=dask.API_VERSION, namespace=namespace, url=dask.CLUSTERS) as response:
        clusters = response.json()["items"]
    if names := unhandled(clusters, now=datetime.now(UTC), started=_started):
        raise kopf.PermanentError(f"no handler has run for {', '.join(names)} in {HANDLED_WITHIN:.0f} s")
    return len(clusters)


async def _served() -> set[str]:
    """Return the Dask kinds that Kubernetes serves."""
    api = await kr8s.asyncio.api()
    try:
        async with api.call_api("GET", version=dask.API_VERSION, base="/apis") as response:
            return {resource["kind"] for resource in response.json()["resources"]}
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.NOT_FOUND:
            return set()
        raise


def unhandled(clusters: Iterable[Mapping[str, Any]], *, now: datetime, started: datetime) -> list[str]:
    """Return the names of DaskClusters that the operator should have given a phase.

    Args:
        clusters: the DaskClusters of the namespace that it watches.
        now: current time.
        started: when the operator started; the time of older clusters counts from then.

    """
    return [
        cluster["metadata"]["name"]
        for cluster in clusters
        if not cluster.get("status", {}).get("phase")
        and "deletionTimestamp" not in cluster["metadata"]
        and (now - max(started, datetime.fromisoformat(cluster["metadata"]["creationTimestamp"]))).total_seconds()
        > HANDLED_WITHIN
    ]
