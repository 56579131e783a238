"""Start-up of the Dask operator for one namespace.

    kopf run -m ops.operator --namespace=NAMESPACE --liveness=http://0.0.0.0:8080/healthz

Imports dask-kubernetes' own operator and narrows it: no look at namespaces and CRDs, so that a Role suffices,
and a probe that fails when DaskClusters are left lying.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dask_kubernetes.operator.controller  # noqa: F401 - the import registers the operator's handlers
import httpx
import kopf
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract.dask import API_VERSION

KINDS: Final = frozenset({"DaskCluster", "DaskWorkerGroup", "DaskJob", "DaskAutoscaler"})

ATTENDED_WITHIN: Final = 30.0
"""Seconds in which a working operator has marked a new DaskCluster; it takes one."""

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_started: Final = datetime.now(UTC)


@kopf.on.startup(id="narrow")
async def narrow(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Configure kopf for one namespace, and wait until the kinds that it is to watch are served.

    Without its look at CRDs kopf serves only what exists when it starts: it would stay deaf for ever.
    """
    for noisy in ("httpx", "aiohttp.access", "kopf.activities.probe"):  # a line or more for every probe
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings.scanning.disabled = True
    settings.peering.standalone = True
    # Every event is a write to the API server. Its errors are what a run's diagnosis looks for.
    settings.posting.level = logging.WARNING
    # kopf's own 60 s would hold a DaskCluster that is deleted in the midst of a timer for a minute, and a handler
    # that met an error of the API server would leave a half-made cluster for as long.
    settings.background.cancellation_polling = 1.0
    settings.execution.default_backoff = 3.0
    if missing := KINDS - await _served():
        raise kopf.TemporaryError(
            f"Kubernetes does not serve {', '.join(sorted(missing))} ({API_VERSION}) yet: apply the custom "
            "resource definitions of dask-kubernetes. The operator waits for them.",
            delay=2,
        )


@kopf.on.probe(id="attends", errors=kopf.ErrorsMode.PERMANENT)
async def attends(**_: Any) -> int:
    """Answer the probe with the number of DaskClusters; fail when one of them has escaped the operator.

    A stream of events can fall silent without an error. Then new clusters wait unmarked, and a restart cures
    it.
    """
    api = await kr8s.asyncio.api()
    namespace = _NAMESPACE_FILE.read_text().strip()
    async with api.call_api("GET", version=API_VERSION, namespace=namespace, url="daskclusters") as response:
        clusters = response.json()["items"]
    if names := unattended(clusters, now=datetime.now(UTC), started=_started):
        raise kopf.PermanentError(f"no handler has run for {', '.join(names)} in {ATTENDED_WITHIN:.0f} s")
    return len(clusters)


async def _served() -> set[str]:
    """Return the kinds of Dask that Kubernetes serves."""
    api = await kr8s.asyncio.api()
    try:
        async with api.call_api("GET", version=API_VERSION, base="/apis") as response:
            return {resource["kind"] for resource in response.json()["resources"]}
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.NOT_FOUND:
            return set()
        raise


def unattended(clusters: Iterable[Mapping[str, Any]], *, now: datetime, started: datetime) -> list[str]:
    """Return the names of DaskClusters that the operator should have marked and has not.

    Args:
        clusters: the DaskClusters of the operator's namespace.
        now: the present.
        started: when the operator started; what was made before counts from then.

    """
    return [
        cluster["metadata"]["name"]
        for cluster in clusters
        if not cluster.get("status", {}).get("phase")
        and "deletionTimestamp" not in cluster["metadata"]
        and (now - max(started, datetime.fromisoformat(cluster["metadata"]["creationTimestamp"]))).total_seconds()
        > ATTENDED_WITHIN
    ]
