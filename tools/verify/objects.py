"""What Kubernetes has of a flow run."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ephemeral_dask.contract import labels
from ephemeral_dask.contract.dask import API_VERSION, CLUSTERS
from tools.kubernetes import Kubernetes, Object

_KINDS: Final = (
    ("jobs", "batch/v1", labels.PREFECT_FLOW_RUN),
    (CLUSTERS, API_VERSION, labels.FLOW_RUN),
    ("pods", "v1", labels.PREFECT_FLOW_RUN),
    ("pods", "v1", labels.FLOW_RUN),
)
"""Plural, API version, and the label with the id of the run."""


class RunObjects:
    """The objects of single runs.

    Args:
        cluster: the stack's.
        namespace: of Jobs and Dask clusters.

    """

    def __init__(self, cluster: Kubernetes, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def cluster(self, run: UUID) -> Object | None:
        """Return the run's DaskCluster, or None.

        Raises:
            Problem: Kubernetes does not answer or refuses.

        """
        selector = f"{labels.FLOW_RUN}={run}"
        clusters = self._cluster.list(CLUSTERS, version=API_VERSION, namespace=self._namespace, selector=selector)
        return clusters[0] if clusters else None

    def names(self, run: UUID) -> list[str]:
        """Return kind and name of each object of the run.

        Raises:
            Problem: Kubernetes does not answer or refuses.

        """
        return [
            f"{plural}/{item['metadata']['name']}"
            for plural, version, label in _KINDS
            for item in self._cluster.list(
                plural, version=version, namespace=self._namespace, selector=f"{label}={run}"
            )
        ]
