"""Why a run's Dask scheduler, or its whole cluster, is gone: asked of Kubernetes before the rest is deleted."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ephemeral_dask import kube, losses
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis
from ephemeral_dask.kube import Kube, KubeError
from ephemeral_dask.losses import Pod

_NAMED_WITHIN: Final = 5.0
"""Seconds that Kubernetes has to name a cause: the kubelet reports the end of a container after a second or two."""

_POLL: Final = 0.5


async def scheduler_pod(api: Kube, cluster: str) -> Pod | None:
    """Return the scheduler's pod, to know later whether it is still the same; None where that is not known."""
    try:
        pods = [pod for pod in await api.list(kube.PODS, labels=kube.of_cluster(cluster)) if _is_scheduler(pod)]
    except KubeError:
        return None
    return Pod(name=pods[0]["metadata"]["name"], uid=pods[0]["metadata"].get("uid", "")) if pods else None


async def why(api: Kube, cluster: str, pod: Pod | None) -> Diagnosis:
    """Return why the connection to a scheduler was lost.

    Args:
        api: the Kubernetes API.
        cluster: the DaskCluster.
        pod: the scheduler's, as it was at the start.

    """
    deadline = asyncio.get_running_loop().time() + _NAMED_WITHIN
    while True:
        cause, guess = await _look(api, cluster, pod)
        if cause is not None:
            return cause
        if asyncio.get_running_loop().time() >= deadline:
            return guess
        await asyncio.sleep(_POLL)


async def _look(api: Kube, cluster: str, pod: Pod | None) -> tuple[Diagnosis | None, Diagnosis]:
    """Return the cause that Kubernetes names, if it names one, and what else it looks like."""
    try:
        custom, pods = await asyncio.gather(
            api.get(kube.DASK_CLUSTERS, cluster), api.list(kube.PODS, labels=kube.of_cluster(cluster))
        )
        events = await api.list(kube.EVENTS, fields=f"involvedObject.name={pod.name}") if pod is not None else []
    except KubeError as error:
        detail = f"the scheduler does not answer, and neither does Kubernetes: {error.message}"
        return None, Diagnosis(cause=Cause.UNKNOWN, detail=detail)
    if custom is None or "deletionTimestamp" in custom["metadata"]:
        detail = "the DaskCluster: the operator, the reaper or a user has deleted it"
        return Diagnosis(cause=Cause.DELETED, detail=detail), Diagnosis(cause=Cause.DELETED, detail=detail)
    if pod is None:
        return None, Diagnosis(cause=Cause.UNKNOWN, detail="the scheduler does not answer")
    cause = losses.why_pod(pod, pods, events)
    if losses.gone(pod, pods):
        detail = f"pod {pod.name}: a user or a controller has deleted it"
        return cause, Diagnosis(cause=Cause.DELETED, detail=detail)
    detail = f"pod {pod.name} runs, and the connection to it is gone"
    return cause, Diagnosis(cause=Cause.UNREACHABLE, detail=detail)


def _is_scheduler(pod: Any) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("dask.org/component") == "scheduler")
