"""Why the connection to a scheduler was lost, asked of a Kubernetes API of a few lines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ephemeral_dask import kube, scheduler_loss
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.kube import Kind, KubeError
from ephemeral_dask.losses import Pod
from tests.support.fake_kubernetes import FakeKubernetes, nothing

POD = Pod(name="etl-scheduler-1", uid="u-1")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_loss, "_NAMED_WITHIN", 0.05)
    monkeypatch.setattr(scheduler_loss, "_POLL", 0.01)


def kubernetes(*pods: dict[str, Any], cluster: bool = True) -> FakeKubernetes:
    fake = FakeKubernetes(nothing)
    fake.pods = list(pods)
    if cluster:
        fake.objects[kube.DASK_CLUSTERS, "etl"] = {"metadata": {"name": "etl"}}
    return fake


def pod(uid: str = "u-1", **status: Any) -> dict[str, Any]:
    labels = {"dask.org/component": "scheduler"}
    return {"metadata": {"name": POD.name, "uid": uid, "labels": labels}, "status": status}


def why(fake: FakeKubernetes, known: Pod | None = POD) -> tuple[Cause, str]:
    cause = asyncio.run(scheduler_loss.why(fake, "etl", known))  # type: ignore[arg-type]  # a fake
    return cause.cause, cause.detail


def test_a_cluster_that_someone_deleted_is_named_at_once_whatever_its_pods_say() -> None:
    assert why(kubernetes(pod(), cluster=False))[0] is Cause.DELETED


def test_a_pod_that_is_gone_without_a_trace_was_deleted_and_one_with_a_trace_was_not() -> None:
    assert why(kubernetes()) == (Cause.DELETED, "pod etl-scheduler-1: a user or a controller has deleted it")
    fake = kubernetes()
    fake.events = [{"reason": "TaintManagerEviction", "message": "node n1 is not ready"}]
    assert why(fake) == (Cause.NODE_LOST, "pod etl-scheduler-1: node n1 is not ready")


def test_a_cause_that_comes_late_is_waited_for() -> None:
    fake = kubernetes(pod(phase="Running"))
    asked: list[Kind] = []
    get = fake.get

    async def later(kind: Kind, name: str) -> dict[str, Any] | None:
        asked.append(kind)
        if len(asked) == 2:
            ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
            fake.pods = [pod(containerStatuses=[{"name": "scheduler", "lastState": ended}])]
        return await get(kind, name)

    fake.get = later  # type: ignore[method-assign]  # the kubelet reports after a moment
    assert why(fake)[0] is Cause.OUT_OF_MEMORY


def test_a_pod_that_runs_on_is_a_matter_of_the_network() -> None:
    assert why(kubernetes(pod(phase="Running")))[0] is Cause.UNREACHABLE


def test_a_kubernetes_api_that_does_not_answer_leaves_the_cause_unknown() -> None:
    fake = kubernetes()

    async def refuse(*_: Any, **__: Any) -> Any:
        raise KubeError(None, "connection refused")

    fake.get = refuse  # type: ignore[method-assign]  # an API server that is away
    cause, detail = why(fake)
    assert cause is Cause.UNKNOWN
    assert "connection refused" in detail


def test_the_scheduler_pod_is_known_by_its_label() -> None:
    worker = {"metadata": {"name": "w", "labels": {"dask.org/component": "worker"}}}
    pod_at_start = asyncio.run(scheduler_loss.scheduler_pod(kubernetes(worker, pod()), "etl"))  # type: ignore[arg-type]
    assert pod_at_start == POD
