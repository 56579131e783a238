"""Why a flow pod does not start, and how it ended, in the words of `ephemeral_dask.contract.causes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ephemeral_dask.contract.causes import Cause
from ops.fields import Object, conditions, mapping, sequence, shortened, text

_IMAGE: Final = {
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "InvalidImageName",
    "ErrImageNeverPull",
}
_CONTAINER: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"}
_SETUP: Final = {"FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume", "FailedPodSandBoxStatus"}

_SIGKILL: Final = 137

_UNSTARTED: Final = (
    *(Cause.IMAGE_PULL, Cause.QUOTA, Cause.POD_SECURITY, Cause.UNSCHEDULABLE, Cause.CRASH_LOOP),
    *(Cause.CONTAINER, Cause.POD_SETUP, Cause.RBAC, Cause.REFUSED),
)
"""Why a pod does not start."""

_WORDS: Final = {
    **{f": {cause.value}": cause.name.lower() for cause in _UNSTARTED},
    "(OOMKilled)": "out_of_memory",
    "DeadlineExceeded": "deadline",
    "preempt": "preempted",
    "evict": "evicted",
    "Evicted": "evicted",
    "its node does not answer": "node_lost",
    "exit code": "ended",
    "Its Job was deleted": "deleted",
    "Its pod was deleted": "deleted",
    "No heartbeat": "no_heartbeat",
    "It has had no Job": "no_job",
}
"""Words of a message about a run that crashed -> the label of its cause. The first that it contains counts."""

_UNKNOWN: Final = Cause.UNKNOWN.name.lower()

LABELS: Final = tuple(dict.fromkeys([*_WORDS.values(), _UNKNOWN]))
"""Causes as a metric has them."""


def label(message: str) -> str:
    """Return the cause in a message of the reaper, one of `LABELS`."""
    return next((label for words, label in _WORDS.items() if words in message), _UNKNOWN)


def waiting(pod: Object) -> str:
    """Return why a pod is not running yet, or an empty string."""
    for container in _containers(pod):
        state = mapping(mapping(container, "state"), "waiting")
        reason, message = text(state, "reason"), text(state, "message")
        image = text(container, "image")
        if reason in _IMAGE:
            return _sentence(Cause.IMAGE_PULL, f"image {image}: {message or reason}")
        if reason in _CONTAINER:
            return _sentence(Cause.CONTAINER, message or reason)
        if reason == "CrashLoopBackOff":
            return _sentence(Cause.CRASH_LOOP, message or reason)
    for condition in conditions(pod):
        if condition.get("type") == "PodScheduled" and condition.get("reason") in {"Unschedulable", "SchedulingGated"}:
            return _sentence(Cause.UNSCHEDULABLE, text(condition, "message"))
    return ""


def ending(pod: Object) -> str:
    """Return how a pod ended: evicted, out of memory, or with which exit code."""
    status = mapping(pod, "status")
    if reason := text(status, "reason"):
        return shortened(f"{reason}: {text(status, 'message')}" if text(status, "message") else reason)
    disruption = next((each for each in conditions(pod) if each.get("type") == "DisruptionTarget"), {})
    codes = [_exit(container) for container in _containers(pod)]
    parts = [*filter(None, [text(disruption, "message"), *codes])]
    return shortened("; ".join(parts))


def from_events(events: Iterable[Object]) -> str:
    """Return why Kubernetes does not create or set up a pod, according to the events about it; the newest one wins."""
    return next(_causes(sorted(events, key=_seen, reverse=True)), "")


def _causes(events: Iterable[Object]) -> Iterator[str]:
    for event in events:
        reason, message = text(event, "reason"), text(event, "message")
        if reason == "FailedCreate":
            yield _sentence(_refusal(message), message)
        elif reason in _SETUP:
            yield _sentence(Cause.POD_SETUP, message)
        elif reason == "FailedScheduling":
            yield _sentence(Cause.UNSCHEDULABLE, message)


def _refusal(message: str) -> Cause:
    if "violates PodSecurity" in message:
        return Cause.POD_SECURITY
    if any(words in message for words in ("exceeded quota", "failed quota", "must specify", "usage per ")):
        return Cause.QUOTA
    if "service account" in message:
        return Cause.RBAC
    return Cause.REFUSED


def _exit(container: Object) -> str:
    terminated = mapping(mapping(container, "state"), "terminated")
    reason, code = text(terminated, "reason"), terminated.get("exitCode")
    if not terminated:
        return ""
    if reason == "OOMKilled":
        return f"exit code {code} (OOMKilled): it needed more memory than its limit"
    if code == _SIGKILL:
        return f"exit code {code}: it was killed"
    return f"exit code {code}" + (f" ({reason})" if reason not in ("", "Error", "Completed") else "")


def _containers(pod: Object) -> list[Object]:
    status = mapping(pod, "status")
    return [*sequence(status, "initContainerStatuses"), *sequence(status, "containerStatuses")]


def _seen(event: Object) -> str:
    metadata = mapping(event, "metadata")
    return text(event, "lastTimestamp") or text(event, "eventTime") or text(metadata, "creationTimestamp")


def _sentence(cause: Cause, detail: str) -> str:
    return shortened(f"{cause.value}: {detail}" if detail else cause.value)
