"""Which worker groups are deleted, and the requests for it to a small fake of the Kubernetes API."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from dask_kubernetes.operator.controller import controller

from ops import clusters
from tests.unit.ops.fakes import FakeKubernetes, at, cluster, worker_group


def deleted(*groups: dict[str, Any]) -> list[str]:
    """Return what the reaper deletes of worker groups beside a live cluster `etl`."""
    api = FakeKubernetes({"daskclusters": [cluster("etl", owner=None, age=60)], "daskworkergroups": list(groups)})
    clusters.reap(api.client, [], [], maximum_lifetime=1e6)
    return api.deleted()


def test_a_group_whose_cluster_was_deleted_before_it_was_the_owner_is_deleted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert deleted(worker_group("lost")) == ["daskworkergroups/lost-default"]
    assert "Worker group lost-default is deleted: its Dask cluster lost does not exist" in caplog.text


@pytest.mark.parametrize(
    "group",
    [
        worker_group("etl"),
        worker_group("lost", owned=True),
        worker_group("lost", age=20),
        worker_group("lost", deletionTimestamp=at(5)),
    ],
    ids=["it has a cluster", "Kubernetes deletes it", "its cluster may not be listed yet", "it is being deleted"],
)
def test_any_other_group_is_kept(group: dict[str, Any]) -> None:
    assert deleted(group) == []


def test_a_malformed_group_stops_no_other() -> None:
    odd = [{}, {"metadata": None}, worker_group("lost", creationTimestamp="now"), worker_group("a") | {"spec": "b"}]
    assert deleted(*odd, worker_group("lost")) == ["daskworkergroups/lost-default"]


def test_the_operator_still_creates_a_worker_group_without_an_owner() -> None:
    """If it gives one, `ops/worker_groups.py` and the reaper's right to delete worker groups can go."""
    source = inspect.getsource(controller.daskcluster_create_components)
    assert "adopt" not in source[source.index("build_default_worker_group_spec(") :]
