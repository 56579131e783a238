"""ephemeral_dask() in real flow runs: a temporary Prefect server and Dask processes on this machine."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from distributed import get_worker
from prefect import flow, get_client, task
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.context import FlowRunContext
from prefect.testing.utilities import prefect_test_harness
from prefect_dask.task_runners import DaskTaskRunner

from ephemeral_dask import ephemeral_dask, large_workers, runner
from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs
from ephemeral_dask.groups import LARGE
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import SettingsError


@pytest.fixture(autouse=True)
def outside_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(knobs.PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_what_a_flow_gets_is_prefects_own_dask_task_runner_without_a_cluster_yet() -> None:
    made: Any = ephemeral_dask(maximum=2)
    assert isinstance(made, DaskTaskRunner)
    assert made.recovery is None
    assert made.duplicate() == made


def test_the_size_is_read_when_the_cluster_opens_and_not_when_the_flow_is_decorated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []
    monkeypatch.setattr(runner, "local_cluster", lambda settings, _log: opened.append(settings.maximum))
    made: Any = ephemeral_dask(maximum=2)
    for asked in ("3", "7"):
        monkeypatch.setenv(knobs.MAXIMUM.variable, asked)
        made.clusters.open(threading.Event())
    assert opened == [3, 7]


def test_in_kubernetes_the_cluster_is_that_of_the_run_with_the_place_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ephemeral_dask import artifacts, cluster  # noqa: PLC0415 - only this test needs the Kubernetes client

    asked: dict[str, Any] = {}
    opened = SimpleNamespace(name="etl-1", dashboard_link="http://etl-1-scheduler.flows:8787/status")
    monkeypatch.setattr(cluster, "RunCluster", lambda **options: asked.update(options) or opened)
    shown: list[str] = []
    monkeypatch.setattr(artifacts, "dashboard", lambda _run, link, address, _log: shown.extend([link, address]))
    monkeypatch.setenv(env.NAMESPACE, "flows")
    monkeypatch.setenv(env.IMAGE, "i@sha256:1")
    made: Any = ephemeral_dask(worker_threads=2)
    made.clusters.open(threading.Event())
    assert isinstance(asked["context"], PodContext)
    assert (asked["context"].namespace, asked["settings"].worker_threads) == ("flows", 2)
    assert shown == ["http://127.0.0.1:8787/status", opened.dashboard_link]


@pytest.mark.usefixtures("prefect_server")
def test_a_bad_size_from_the_run_fails_the_run_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @task
    def nothing() -> None: ...

    @flow(task_runner=ephemeral_dask())
    def asks() -> None:
        nothing.submit().result()

    monkeypatch.setenv(knobs.WORKER_MEMORY.variable, "two gigabytes")
    with pytest.raises(SettingsError, match="'two gigabytes' is not a Kubernetes quantity"):
        asks()


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_that_asks_for_large_workers_runs_on_a_laptop_and_only_what_it_says_is_large() -> None:
    @task
    def restrictions() -> dict[str, float] | None:
        worker = get_worker()
        restrictions_of_task: dict[str, float] | None = worker.state.tasks[
            worker.get_current_task()
        ].resource_restrictions
        return restrictions_of_task

    @flow(task_runner=ephemeral_dask(maximum=1))
    def asks() -> list[dict[str, float] | None]:
        with large_workers():
            large = restrictions.submit()
        return [large.result(), restrictions.submit().result()]

    assert asks() == [{LARGE: 1}, None]


@pytest.mark.usefixtures("prefect_server")
def test_a_run_on_a_laptop_tells_what_its_workers_used() -> None:
    @task
    def take(mebibytes: int) -> int:
        return len(b"x" * (mebibytes * 2**20))

    @flow(task_runner=ephemeral_dask(maximum=1))
    def takes() -> UUID:
        take.submit(300).result()
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return context.flow_run.id

    run = takes()
    with get_client(sync_client=True) as client:
        only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        [summary] = [each for each in client.read_artifacts(artifact_filter=only) if each.key == "dask-summary"]
    text = str(summary.data)
    assert "none on this machine" in text
    assert "| tasks | 1 |" in text
    assert re.search(r"`dask_worker_memory: \w+` is enough in Kubernetes: the largest worker used \d", text)
