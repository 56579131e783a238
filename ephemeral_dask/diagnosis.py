"""Why a Dask cluster is not up yet: pure functions over what Kubernetes says about its objects.

The texts are those of Kubernetes 1.28 to 1.35 (kubelet's waiting reasons, the admission
plugins' messages). A text that is not recognised is passed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ephemeral_dask import missing_objects, upstream
from ephemeral_dask.contract import tls
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.contract.quantities import cores, memory_bytes

_PULLING: Final = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
_NEVER_PULLED: Final = {"InvalidImageName", "ErrImageNeverPull"}
_CONTAINER: Final = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
}
_SETUP_EVENTS: Final = {
    "FailedCreatePodSandBox",
    "FailedMount",
    "FailedAttachVolume",
    "FailedPodSandBoxStatus",
}
_RESTARTS_OF_A_LOOP: Final = 2


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What Kubernetes says about a Dask cluster at one moment; None or empty where there is nothing."""

    cluster: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    worker_group: Mapping[str, Any] | None = None
    pods: Sequence[Mapping[str, Any]] = field(default=())
    events: Sequence[Mapping[str, Any]] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A cause with its details.

    Attributes:
        cause: what it is.
        detail: which object, and Kubernetes' own words.
        permanent: whether waiting cannot help, but only a change of the settings, the image or the namespace.
        pod: the pod whose log says more, with its container.

    """

    cause: Cause
    detail: str
    permanent: bool = False
    pod: tuple[str, str] | None = None

    @property
    def sentence(self) -> str:
        return f"{self.cause.value}: {self.detail}"


class ClusterStartError(RuntimeError):
    """The run's Dask cluster did not start. The message names the cause; nothing of the cluster is left."""

    def __init__(self, diagnosis: Diagnosis, seconds: float, log: str = "") -> None:
        text = f"The run's Dask cluster did not start ({seconds:.0f} s): {diagnosis.sentence}"
        super().__init__(f"{text}\nIts last log lines:\n{log}" if log else text)
        self.diagnosis = diagnosis


def diagnose(observation: Observation) -> Diagnosis | None:
    """Return the most specific cause why a cluster is not up, or None when the start may still succeed.

    A permanent cause takes precedence over a transient one.
    """
    causes = [*_from_pods(observation.pods), *_from_events(observation)]
    for one in causes:
        if one.permanent:
            return one
    if causes:
        return causes[0]
    if not upstream.operator_has_acted(observation.cluster, observation.service):
        return Diagnosis(
            cause=Cause.OPERATOR,
            detail="it created nothing for the DaskCluster. Is its pod running, and does it watch this namespace?",
        )
    if observation.service is not None and observation.worker_group is None:
        return Diagnosis(cause=Cause.OPERATOR, detail="it created the scheduler but no default worker group")
    return None


def still_missing(observation: Observation, *, connected: bool, trouble: str) -> Diagnosis:
    """Return what is not there yet, when nothing names a cause.

    Args:
        observation: the latest one.
        connected: whether the scheduler has answered this process.
        trouble: why the last attempt to connect failed, or empty.

    """
    phases = ", ".join(f"{pod['metadata']['name']} {_phase(pod)}" for pod in observation.pods) or "none"
    if connected:
        return Diagnosis(cause=Cause.NO_WORKER, detail=f"its pods: {phases}")
    if any(not is_worker(pod) and _ready(pod) for pod in observation.pods):
        return Diagnosis(
            cause=Cause.UNREACHABLE,
            detail=f"{trouble or 'no answer'}. Does a network policy block the connection, or is DNS down?",
        )
    return Diagnosis(cause=Cause.UNKNOWN, detail=f"the scheduler is not ready; the cluster's pods: {phases}")


def refused(status: int | None, message: str) -> Diagnosis:
    """Explain the API's refusal to create the DaskCluster itself."""
    if status == 404:
        return Diagnosis(cause=Cause.CRDS, detail="this Kubernetes cluster has no kind DaskCluster", permanent=True)
    if quota := _quota(message):
        return quota
    if status in (401, 403):
        return Diagnosis(cause=Cause.RBAC, detail=message, permanent=True)
    if status is None:
        return Diagnosis(cause=Cause.UNKNOWN, detail=f"the Kubernetes API does not answer ({message})")
    return Diagnosis(cause=Cause.REFUSED, detail=message, permanent=400 <= status < 500 and status != 429)


def pruned(asked: Any, stored: Any, path: str = "spec") -> list[str]:
    """Return the fields that we wrote and the API dropped, because its CRD does not have them."""
    if isinstance(asked, Mapping):
        if not isinstance(stored, Mapping):
            return [path]
        return [
            missing
            for key, value in asked.items()
            for missing in (
                pruned(value, stored[key], f"{path}.{key}")
                if key in stored
                # The API drops an empty dictionary or list without meaning anything by it.
                else ([f"{path}.{key}"] if value not in ({}, [], None) else [])
            )
        ]
    if isinstance(asked, list) and isinstance(stored, list):
        return [
            missing
            for number, (one, other) in enumerate(zip(asked, stored, strict=False))
            for missing in pruned(one, other, f"{path}[{number}]")
        ]
    return []


def crds_too_old(fields: Sequence[str]) -> Diagnosis:
    """Explain fields that the API dropped."""
    return Diagnosis(
        cause=Cause.CRDS,
        detail=f"they lack {', '.join(fields[:5])}; apply those of the dask-kubernetes release in this image",
        permanent=True,
    )


def _from_pods(pods: Sequence[Mapping[str, Any]]) -> Iterator[Diagnosis]:
    # The scheduler first: without it a worker's failure is only a consequence.
    for pod in sorted(pods, key=is_worker):
        name = pod["metadata"]["name"]
        status = pod.get("status", {})
        for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            if one := _from_container(name, container, pod["metadata"].get("namespace", "")):
                yield one
        for condition in status.get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                message = condition.get("message", "")
                absent = missing_objects.explain(message, pod["metadata"].get("namespace", ""))
                detail = f"pod {name}: {absent or missing_objects.scarce(message)}"
                yield Diagnosis(cause=Cause.UNSCHEDULABLE, detail=detail, permanent=bool(absent))


def is_worker(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod of a Dask cluster is a worker's."""
    return bool(pod["metadata"].get("labels", {}).get("dask.org/component") == "worker")


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _phase(pod: Mapping[str, Any]) -> str:
    phase = pod.get("status", {}).get("phase", "Unknown")
    return phase if phase != "Running" or _ready(pod) else "Running, not ready"


def _from_container(pod: str, container: Mapping[str, Any], namespace: str) -> Diagnosis | None:
    where = f"pod {pod}, container {container['name']}"
    waiting = container.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULLING | _NEVER_PULLED:
        return Diagnosis(
            cause=Cause.IMAGE_PULL,
            detail=f"{where}, image {container.get('image', '?')}: {message or reason}",
            permanent=reason in _NEVER_PULLED,
        )
    if reason in _CONTAINER:
        detail = missing_objects.explain(message, namespace) or message or reason
        return Diagnosis(cause=Cause.CONTAINER, detail=f"{where}: {detail}", permanent=True)
    ended = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated") or {}
    restarts = container.get("restartCount", 0)
    looping = reason == "CrashLoopBackOff" or restarts >= _RESTARTS_OF_A_LOOP
    if looping and not container.get("ready", False):
        why = ended.get("reason", "Error")
        detail = f"{where} was restarted {restarts}x, last after {why} with exit code {ended.get('exitCode', '?')}"
        if why == "OOMKilled":
            detail += "; it needs more memory than its limit"
        return Diagnosis(cause=Cause.CRASH_LOOP, detail=detail, permanent=True, pod=(pod, container["name"]))
    return None


def _from_events(observation: Observation) -> Iterator[Diagnosis]:
    # An event outlives its cause: one about a pod that was created since, or that is running now, is ignored.
    created = {owner["name"] for pod in observation.pods for owner in pod["metadata"].get("ownerReferences", ())}
    running = {pod["metadata"]["name"] for pod in observation.pods if pod.get("status", {}).get("phase") == "Running"}
    for event in observation.events:
        reason, message = event.get("reason", ""), event.get("message", "")
        involved = event.get("involvedObject", {})
        name, kind = involved.get("name", "?"), involved.get("kind", "object")
        if reason == "FailedCreate" and name not in created:
            yield _from_failed_create(f"{kind} {name}", message)
        elif reason in _SETUP_EVENTS and name not in running:
            absent = missing_objects.explain(message, involved.get("namespace", ""))
            detail = f"{kind} {name}: {absent or message}"
            # The Secret with the certificates comes after the DaskCluster that owns it.
            permanent = bool(absent) and f'"{tls.VOLUME}"' not in message
            yield Diagnosis(cause=Cause.POD_SETUP, detail=detail, permanent=permanent)
        elif kind == "DaskCluster" and observation.worker_group is None and "forbidden" in message.lower():
            yield Diagnosis(cause=Cause.RBAC, detail=f"the operator, at {kind} {name}: {message}", permanent=True)


def _from_failed_create(where: str, message: str) -> Diagnosis:
    detail = f"{where}: {message}"
    if "violates PodSecurity" in message:
        return Diagnosis(cause=Cause.POD_SECURITY, detail=detail, permanent=True)
    if quota := _quota(message):
        return Diagnosis(cause=Cause.QUOTA, detail=detail, permanent=quota.permanent)
    if absent := missing_objects.explain(message, ""):
        return Diagnosis(cause=Cause.REFUSED, detail=f"{where}: {absent}", permanent=True)
    if "error looking up service account" in message:
        return Diagnosis(cause=Cause.RBAC, detail=detail, permanent=True)
    return Diagnosis(cause=Cause.REFUSED, detail=detail)


def _quota(message: str) -> Diagnosis | None:
    """Recognise ResourceQuota and LimitRange; permanent when one pod alone exceeds the limit."""
    if "exceeded quota" in message:
        return Diagnosis(cause=Cause.QUOTA, detail=message, permanent=_never_fits(message))
    # A LimitRange names a bound per container or pod, a quota a value that must be specified: neither passes with time.
    if re.search(r"(maximum|minimum) \S+ usage per (Container|Pod)|failed quota|must specify", message):
        return Diagnosis(cause=Cause.QUOTA, detail=message, permanent=True)
    return None


def _never_fits(message: str) -> bool:
    """Return whether a request exceeds its limit: `requested: pods=1, used: pods=9, limited: pods=9`."""
    match = re.search(r"requested: (?P<requested>.*?), used: .*?, limited: (?P<limited>.*)", message)
    if match is None:
        return False
    requested, limited = _amounts(match["requested"]), _amounts(match["limited"])
    return any(amount > limited[name] for name, amount in requested.items() if name in limited)


def _amounts(text: str) -> dict[str, float]:
    amounts = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        try:
            amounts[name] = float(memory_bytes(value)) if "memory" in name else cores(value)
        except ValueError:
            continue  # zero, or a unit of a kind that no Dask pod asks for
    return amounts
