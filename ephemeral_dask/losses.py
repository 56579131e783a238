"""Why a pod of a running Dask cluster was lost: pure functions over what Kubernetes and the pod's log say.

Reasons and conditions are those of Kubernetes 1.28 to 1.35: the kubelet's, the scheduler's, the eviction API's and
the node controllers'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis

_DISRUPTIONS: Final = {
    "PreemptionByScheduler": Cause.PREEMPTED,
    "DeletionByTaintManager": Cause.NODE_LOST,
    "DeletionByPodGC": Cause.NODE_LOST,
    "EvictionByEvictionAPI": Cause.EVICTED,
    "TerminationByKubelet": Cause.EVICTED,
}
"""Reasons of a pod's condition DisruptionTarget."""

_ENDS: Final = {
    "Evicted": Cause.EVICTED,
    "Preempting": Cause.PREEMPTED,
    "NodeLost": Cause.NODE_LOST,
    "NodeShutdown": Cause.NODE_LOST,
    "Terminated": Cause.NODE_LOST,
    "NodeAffinity": Cause.NODE_LOST,
}
"""Reasons of a failed pod's status."""

_EVENTS: Final = {
    "Evicted": Cause.EVICTED,
    "Preempted": Cause.PREEMPTED,
    "NodeNotReady": Cause.NODE_LOST,
    "TaintManagerEviction": Cause.NODE_LOST,
}

_NANNY: Final = re.compile(r"exceeded (?P<percent>\d+)% memory budget")
_SIGNAL: Final = re.compile(r"Worker process \d+ was killed by signal (?P<number>\d+)")
_KILLED: Final = 9


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod of the cluster as it was known while it worked."""

    name: str
    uid: str = ""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a worker last reported to its scheduler, and the most that its process may take; 0 for what is not known."""

    used: int = 0
    limit: int = 0

    def __str__(self) -> str:
        used = f"{self.used // 2**20} MiB in its last report" if self.used else "no report of its use"
        return f"{used}, limit {self.limit // 2**20} MiB" if self.limit else used


def why_pod(
    known: Pod, pods: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], memory: Memory | None = None
) -> Diagnosis | None:
    """Return why a pod was lost, or None where nothing says so (yet).

    Args:
        known: the pod.
        pods: those of the cluster now.
        events: about the pod.
        memory: of the process in it.

    """
    now = next((pod for pod in pods if pod["metadata"]["name"] == known.name), None)
    return next(_whys(known, now, events, memory), None)


def gone(known: Pod, pods: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a pod does not exist any more, or is going away."""
    now = next((pod["metadata"] for pod in pods if pod["metadata"]["name"] == known.name), None)
    return now is None or "deletionTimestamp" in now or bool(known.uid and now.get("uid") != known.uid)


def why_process(pod: str, log: str, memory: Memory) -> Diagnosis | None:
    """Return why a worker's process ended, as the nanny beside it reports."""
    if match := _NANNY.search(log):
        detail = f"worker {pod} exceeded {match['percent']} % of its memory and was restarted by its nanny ({memory})"
        return Diagnosis(cause=Cause.OUT_OF_MEMORY, detail=detail)
    if match := _SIGNAL.search(log):
        detail = f"worker {pod} was killed by signal {match['number']}"
        if int(match["number"]) == _KILLED:
            detail += f", which the kernel sends to a process of a container without memory left ({memory})"
        return Diagnosis(cause=Cause.ENDED, detail=detail)
    return None


def _whys(
    known: Pod, pod: Mapping[str, Any] | None, events: Sequence[Mapping[str, Any]], memory: Memory | None
) -> Iterator[Diagnosis]:
    status = pod.get("status", {}) if pod is not None else {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            reason = condition.get("reason", "")
            yield _diagnosis(_DISRUPTIONS.get(reason, Cause.EVICTED), known, condition.get("message") or reason)
    if status.get("phase") == "Failed" and status.get("reason") in _ENDS:
        yield _diagnosis(_ENDS[status["reason"]], known, status.get("message") or status["reason"])
    for container in status.get("containerStatuses") or ():
        yield from _from_container(known, container, memory)
    for event in events:
        if (cause := _EVENTS.get(event.get("reason", ""))) is not None:
            yield _diagnosis(cause, known, event.get("message") or event["reason"])


def _from_container(known: Pod, container: Mapping[str, Any], memory: Memory | None) -> Iterator[Diagnosis]:
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended = state.get("terminated")
        if not ended:
            continue
        where = f"container {container.get('name', '?')}"
        if ended.get("reason") == "OOMKilled":
            used = f" ({memory})" if memory is not None else "; it needs more memory than its limit"
            yield _diagnosis(Cause.OUT_OF_MEMORY, known, f"{where} was killed by the kernel{used}")
        else:
            why = ended.get("reason", "Error")
            yield _diagnosis(Cause.ENDED, known, f"{where}: {why} with exit code {ended.get('exitCode', '?')}")


def _diagnosis(cause: Cause, known: Pod, detail: str) -> Diagnosis:
    return Diagnosis(cause=cause, detail=f"pod {known.name}: {detail}")
