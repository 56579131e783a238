"""Worker groups whose Dask cluster does not exist.

The operator creates the default worker group of a DaskCluster without an owner, and makes the cluster its owner in a
second step (https://github.com/dask/dask-kubernetes/pull/624 has the reason). Where the cluster is deleted between the
two, the group stays, and the operator tries to find its cluster every few seconds, without an end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ops.fields import Object, mapping, sequence, text, time_of

ORPHANED_AFTER: Final = 30.0
"""Age in seconds from which a group without an owner and without a cluster is deleted: its cluster is older than it is,
and the operator makes it the owner within a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerGroup:
    """A DaskWorkerGroup.

    Attributes:
        name: of the group.
        uid: of the group.
        cluster: name of its DaskCluster.
        created: when it was created.
        is_owned: whether Kubernetes deletes it with an owner.
        is_deleted: whether it is being deleted.

    """

    name: str
    uid: str
    cluster: str
    created: datetime
    is_owned: bool
    is_deleted: bool


def worker_group(item: Object) -> WorkerGroup:
    """Return what is kept of a DaskWorkerGroup."""
    metadata = mapping(item, "metadata")
    created, cluster = time_of(metadata, "creationTimestamp"), text(mapping(item, "spec"), "cluster")
    if created is None or not cluster:
        raise ValueError("it has no creationTimestamp or no cluster")
    return WorkerGroup(
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        cluster=cluster,
        created=created,
        is_owned=bool(sequence(metadata, "ownerReferences")),
        is_deleted=bool(metadata.get("deletionTimestamp")),
    )


def orphans(groups: Iterable[WorkerGroup], clusters: Collection[str], now: datetime) -> Iterator[WorkerGroup]:
    """Yield the groups that nothing else deletes.

    Args:
        groups: those of the namespace, listed after the clusters.
        clusters: names of the DaskClusters of the namespace.
        now: the API server's time.

    """
    for group in groups:
        age = (now - group.created).total_seconds()
        if not group.is_owned and not group.is_deleted and group.cluster not in clusters and age > ORPHANED_AFTER:
            yield group
