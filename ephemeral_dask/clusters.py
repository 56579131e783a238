"""Where the Dask clusters of a run come from. Kubernetes is one such place, this machine another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from distributed.scheduler import KilledWorker


class Clusters(Protocol):
    """Starts, explains and ends Dask clusters: see `ephemeral_dask.runner`."""

    def restarts(self) -> int:
        """Return how many clusters may be started after the first one."""

    def open(self, abandoned: threading.Event) -> Any:
        """Start a cluster and return it, with its `scheduler_address`. It gives up when the event is set."""

    def watch(self, cluster: Any, client: Any) -> None:
        """Explain the workers that are lost from now on, with a client that is connected to the cluster."""

    def why_lost(self, cluster: Any) -> str:
        """Return why a cluster was lost, in words."""

    def why_killed(self, cluster: Any, error: KilledWorker) -> str:
        """Return why the workers died on which a task was tried, in words."""

    def discard(self, cluster: Any, losses: Sequence[str], *, last: bool) -> None:
        """End a cluster, lost or not.

        Args:
            cluster: which one.
            losses: why each of those before it was lost, and this one if it was.
            last: whether the run ends with it.

        """
