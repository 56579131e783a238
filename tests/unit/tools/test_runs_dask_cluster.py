from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ephemeral_dask.contract import labels
from tools.runs.dask_cluster import ClusterView, ClusterWatch

from .fake_kubernetes import FakeKubernetes, fake_kubernetes

RUNS = [uuid4(), uuid4()]


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with fake_kubernetes(tmp_path) as cluster:
        yield cluster


def look(kubeconfig: str) -> ClusterView | None:
    async def ask() -> ClusterView | None:
        async with ClusterWatch("flows", kubeconfig) as watch:
            return await watch.look(RUNS, tasks=False)

    return asyncio.run(ask())


def pod(component: str, phase: str) -> dict[str, Any]:
    metadata = {"name": component, "namespace": "flows", "labels": {"dask.org/component": component}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase}}


def test_workers_are_the_worker_pods_that_run(kubernetes: FakeKubernetes) -> None:
    kubernetes.clusters = [{"metadata": {"name": "digits-1"}}]
    kubernetes.pods = [pod("scheduler", "Running"), pod("worker", "Running"), pod("worker", "Pending")]
    assert look(kubernetes.kubeconfig) == ClusterView(exists=True, workers=1)
    assert set(kubernetes.selectors) == {f"{labels.FLOW_RUN} in ({RUNS[0]},{RUNS[1]})"}


def test_a_cluster_that_is_being_deleted_is_as_good_as_gone(kubernetes: FakeKubernetes) -> None:
    kubernetes.clusters = [{"metadata": {"name": "digits-1", "deletionTimestamp": "2026-11-27T12:00:00Z"}}]
    assert look(kubernetes.kubeconfig) == ClusterView(exists=False)


def test_without_a_cluster_there_is_nothing(kubernetes: FakeKubernetes) -> None:
    assert look(kubernetes.kubeconfig) == ClusterView()


def test_a_kubernetes_that_does_not_answer_is_not_an_empty_one(tmp_path: Path) -> None:
    assert look(str(tmp_path / "nothing-here")) is None
