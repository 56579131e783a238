"""Deletes Dask clusters whose flow run has ended: the last of four layers that keep clusters from outliving their runs.

A cluster whose flow pod is alive is kept, up to the maximum lifetime.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import httpx

from ephemeral_dask.contract import dask, labels
from ops import objects
from ops.fields import MALFORMED, Object, has_condition, mapping, parsed, report, sequence, text, time_of
from ops.kubernetes import SCHEDULERS, Kubernetes
from ops.objects import FlowPod, Job
from ops.worker_groups import WorkerGroup, orphans, worker_group

STUCK_AFTER: Final = 30.0
"""Seconds after which the finalizers of a deleted object are removed. A working operator removes its own in two."""

HANDLED_WITHIN: Final = 30.0
"""Seconds within which a working operator sets the phase of a new DaskCluster; it takes one."""

_KINDS: Final = (dask.CLUSTERS, dask.AUTOSCALERS, dask.WORKER_GROUPS)

_log = logging.getLogger("ops.reaper")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A DaskCluster.

    Attributes:
        name: of the cluster.
        uid: of the cluster.
        run: id of its flow run.
        created: when it was created.
        is_deleted: whether it is being deleted.
        is_handled: whether the operator has given it a phase.
        owner: name and uid of the Job that owns it, if a Job does.
        start_timeout: seconds after which it is given up when its scheduler is not ready; None for the default.

    """

    name: str
    uid: str
    run: str = "unknown"
    created: datetime
    is_deleted: bool = False
    is_handled: bool = True
    owner: tuple[str, str] | None = None
    start_timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class NamespaceState:
    """The namespace at one moment.

    Attributes:
        now: the API server's time, which the objects' timestamps use.
        pods: flow pods.
        jobs: uid -> the Jobs of flow runs.
        ready: names of the clusters without an owner whose scheduler is ready.

    """

    now: datetime
    pods: Sequence[FlowPod] = ()
    jobs: Mapping[str, Job]
    ready: frozenset[str] = frozenset()


def cluster(item: Object) -> Cluster:
    """Return what is kept of a DaskCluster."""
    metadata = mapping(item, "metadata")
    created = time_of(metadata, "creationTimestamp")
    if created is None:
        raise ValueError("it has no creationTimestamp")
    owner = next((each for each in sequence(metadata, "ownerReferences") if each.get("kind") == "Job"), None)
    name = str(metadata["name"])
    return Cluster(
        name=name,
        uid=str(metadata["uid"]),
        run=text(mapping(metadata, "labels"), labels.FLOW_RUN) or "unknown",
        created=created,
        is_deleted=bool(metadata.get("deletionTimestamp")),
        is_handled=bool(text(mapping(item, "status"), "phase")),
        owner=None if owner is None else (str(owner["name"]), str(owner["uid"])),
        start_timeout=_seconds(name, mapping(metadata, "annotations").get(labels.START_TIMEOUT)),
    )


def deletion_reason(cluster: Cluster, state: NamespaceState, *, maximum_lifetime: float) -> str:
    """Return why a Dask cluster must be deleted, or an empty string to keep it.

    Args:
        cluster: the DaskCluster.
        state: the namespace.
        maximum_lifetime: seconds after which a cluster is deleted even if its run is active.

    """
    age = (state.now - cluster.created).total_seconds()
    if age > maximum_lifetime:
        return f"it is {age:.0f} s old, and {maximum_lifetime:.0f} s is the maximum lifetime"
    if cluster.owner is None:
        limit = maximum_lifetime if cluster.start_timeout is None else cluster.start_timeout
        if cluster.name in state.ready or age <= limit:
            return ""
        return f"its scheduler is not ready after {age:.0f} s, and no run owns it"
    return _run_has_ended(cluster.owner[1], state)


def _run_has_ended(uid: str, state: NamespaceState) -> str:
    """Return why the run of a Job no longer needs a cluster, or an empty string."""
    flow_pods = [pod for pod in state.pods if pod.job == uid]
    if any(pod.is_alive(state.now) for pod in flow_pods):
        return ""
    if flow_pods:
        return "its flow pod has ended"
    job = state.jobs.get(uid)
    if job is None:
        return "its flow run's Job was deleted"
    return "its flow run's Job has ended" if job.has_ended else ""


def is_stuck(item: Object, now: datetime) -> bool:
    """Return whether finalizers have kept a deleted object for too long."""
    metadata = mapping(item, "metadata")
    deleted = time_of(metadata, "deletionTimestamp")
    return deleted is not None and bool(metadata.get("finalizers")) and (now - deleted).total_seconds() > STUCK_AFTER


def reap(
    kubernetes: Kubernetes, pods: Sequence[FlowPod], jobs: Iterable[Job], *, maximum_lifetime: float
) -> Counter[str]:
    """Delete the Dask clusters of ended runs and return how many clusters are in which state of `metrics.CLUSTERS`."""
    clusters: list[Cluster] = []
    groups: list[WorkerGroup] = []
    names: set[str] = set()
    now = None
    for kind in _KINDS:
        listing = kubernetes.list_dask(kind)
        stuck = []
        for item in listing:
            try:
                if is_stuck(item, listing.now):
                    stuck.append(str(mapping(item, "metadata")["name"]))
            except MALFORMED as error:
                report(kind, str(mapping(item, "metadata").get("name")), error)
            if kind == dask.CLUSTERS:
                clusters += parsed(cluster, "DaskCluster", [item])
                names.add(text(mapping(item, "metadata"), "name"))
            elif kind == dask.WORKER_GROUPS:
                groups += parsed(worker_group, "DaskWorkerGroup", [item])
        for name in stuck:
            _log.warning("%s %s was deleted and still exists: its finalizers are removed", kind, name)
            attempt(partial(kubernetes.drop_finalizers, kind, name))
        now = listing.now
    if now is not None:
        _delete_orphans(kubernetes, orphans(groups, names, now))
    live = [each for each in clusters if not each.is_deleted]
    numbers = Counter(["over"] * (len(clusters) - len(live)))
    if not live or now is None:
        return numbers
    state = NamespaceState(now=now, pods=pods, jobs=_owners(kubernetes, live, jobs), ready=_ready(kubernetes, live))
    for each in live:
        if reason := deletion_reason(each, state, maximum_lifetime=maximum_lifetime):
            _log.warning("Dask cluster %s of flow run %s is deleted: %s", each.name, each.run, reason)
            attempt(partial(kubernetes.delete_dask, dask.CLUSTERS, each.name, each.uid))
            numbers["over"] += 1
        else:
            waits = not each.is_handled and (now - each.created).total_seconds() > HANDLED_WITHIN
            numbers["unhandled" if waits else "live"] += 1
    return numbers


def attempt(action: Callable[[], None]) -> bool:
    """Run an action on one object; log a refusal, so that the other objects are still handled."""
    try:
        action()
    except httpx.HTTPStatusError as error:
        _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip()[:500])
        return False
    return True


def _delete_orphans(kubernetes: Kubernetes, groups: Iterable[WorkerGroup]) -> None:
    for group in groups:
        _log.warning("Worker group %s is deleted: its Dask cluster %s does not exist", group.name, group.cluster)
        attempt(partial(kubernetes.delete_dask, dask.WORKER_GROUPS, group.name, group.uid))


def _owners(kubernetes: Kubernetes, clusters: Iterable[Cluster], jobs: Iterable[Job]) -> dict[str, Job]:
    """Return uid -> Job, also of owners that are not Prefect's."""
    known = {job.uid: job for job in jobs}
    for name, uid in {each.owner for each in clusters if each.owner is not None}:
        if uid not in known and (item := kubernetes.job(name)):
            known |= {each.uid: each for each in parsed(objects.job, "Job", [item])}
    return known


def _ready(kubernetes: Kubernetes, clusters: Iterable[Cluster]) -> frozenset[str]:
    """Return the clusters whose scheduler is ready; nothing is read while every cluster has an owner."""
    if all(each.owner is not None for each in clusters):
        return frozenset()
    schedulers = (item for item in kubernetes.list_pods(SCHEDULERS) if has_condition(item, "Ready"))
    return frozenset(text(mapping(mapping(each, "metadata"), "labels"), "dask.org/cluster-name") for each in schedulers)


def _seconds(name: str, value: object) -> float | None:
    """Return a timeout, or None for one that is missing or malformed."""
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        report("DaskCluster", name, ValueError(f"its start timeout {value!r:.50} is not a number of seconds"))
        return None
    return seconds
