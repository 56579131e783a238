"""The clusters that CLUSTER= can name, behind one interface."""

from __future__ import annotations

from tools.target import KIND, LOCAL
from tools.targets.existing import Existing
from tools.targets.interface import Cluster
from tools.targets.kind import Kind
from tools.targets.local import Local


def named(cluster: str, stack: str) -> Cluster:
    """Return a cluster.

    Args:
        cluster: one of `target.CLUSTERS`.
        stack: whose file may say which of the existing clusters it is for.

    """
    if cluster == LOCAL:
        return Local()
    return Kind() if cluster == KIND else Existing(stack)


__all__ = ["Cluster", "named"]
