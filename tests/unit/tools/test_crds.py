from __future__ import annotations

from typing import Any

import pytest

from infra.naming import DASK_VERSION as VERSION
from tools import crds
from tools.errors import Problem
from tools.kubernetes import Kubernetes

NAME = "daskclusters.kubernetes.dask.org"


def crd(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": NAME, "annotations": annotations}, "spec": {"group": "kubernetes.dask.org"}}


class Cluster(Kubernetes):
    """A cluster with CRDs and Dask clusters."""

    def __init__(self, crds: list[dict[str, Any]], live: list[dict[str, Any]] | None = None) -> None:
        super().__init__({})
        self.objects = {"customresourcedefinitions": crds, "daskclusters": live or []}
        self.deleted: list[str] = []

    def list(self, plural: str, **_: Any) -> Any:
        return self.objects[plural]

    def delete(self, url: str, **_: Any) -> None:
        self.deleted.append(url)


def test_unused_crds_of_this_project_are_removed() -> None:
    other = {"metadata": {"name": "a.example.com"}, "spec": {"group": "example.com"}}
    cluster = Cluster([crd(**{VERSION: "2026.3.0"}), other])
    crds.remove(cluster)
    assert cluster.deleted == [f"customresourcedefinitions/{NAME}"]


def test_crds_stay_while_a_dask_cluster_exists_anywhere() -> None:
    cluster = Cluster([crd(**{VERSION: "2026.3.0"})], live=[{"metadata": {"name": "a", "namespace": "theirs"}}])
    with pytest.raises(Problem, match=r"1 Dask clusters exist .* theirs/a"):
        crds.remove(cluster)
    assert cluster.deleted == []


def test_crds_that_something_else_installed_stay() -> None:
    cluster = Cluster([crd()])
    with pytest.raises(Problem, match="were not installed by this project"):
        crds.remove(cluster)
    assert cluster.deleted == []


def test_a_cluster_without_crds_of_dask_is_left_alone() -> None:
    cluster = Cluster([])
    crds.remove(cluster)
    assert cluster.deleted == []
