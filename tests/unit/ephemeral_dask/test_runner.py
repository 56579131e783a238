"""ephemeral_dask() in real flow runs: a temporary Prefect server and Dask processes on this machine."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from datetime import date
from statistics import mean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed import get_worker
from prefect import flow, task
from prefect.artifacts import Artifact
from prefect.exceptions import ParameterTypeError
from prefect.testing.utilities import prefect_test_harness
from prefect_dask.task_runners import DaskTaskRunner
from sklearn.datasets import load_digits

from ephemeral_dask import ephemeral_dask, large_workers, runner
from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs
from ephemeral_dask.groups import LARGE
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import SettingsError
from flows import components, digits, drift, leaderboard


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
    assert made._cluster is None
    assert made.duplicate() == made


def test_the_size_is_read_when_the_cluster_opens_and_not_when_the_flow_is_decorated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []
    monkeypatch.setattr(runner, "_local_cluster", lambda settings, _log: opened.append(settings.maximum))
    made: Any = ephemeral_dask(maximum=2)
    for asked in ("3", "7"):
        monkeypatch.setenv(knobs.MAXIMUM.variable, asked)
        made.cluster_class(**made.cluster_kwargs)
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
    made.cluster_class(**made.cluster_kwargs)
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
def test_the_digits_search_finds_the_best_point_and_publishes_the_ranking() -> None:
    best = digits.search(folds=2, trees=2)
    assert isinstance(best, digits.Score)
    assert 0.5 < best.accuracy < 1
    published = Artifact.get("digits-search")
    assert published is not None
    assert published.description == f"Best: {best}"


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("wrong", [{"folds": 1}, {"folds": 11}, {"trees": 0}, {"folds": "many"}])
def test_the_digits_search_refuses_parameters_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError):
        digits.search(**wrong)


@pytest.mark.usefixtures("prefect_server")
def test_a_dask_array_in_a_task_gives_what_numpy_gives() -> None:
    images = load_digits().data
    shares = np.linalg.eigvalsh(np.cov(images.T, bias=True))[::-1]
    needed = int(np.searchsorted(np.cumsum(shares / shares.sum()), 0.8)) + 1
    assert components.components(copies=3, noise=0, share=0.8) == needed


@pytest.mark.usefixtures("prefect_server")
def test_a_subflow_whose_tasks_all_fail_once_ends_with_the_same_accuracy() -> None:
    accuracy = leaderboard.evaluate("bayes", folds=2, shaky=True)
    assert accuracy == mean(leaderboard.score.fn("bayes", fold, 2, shaky=False) for fold in range(2))


@pytest.mark.usefixtures("prefect_server")
def test_the_nightly_flow_does_the_same_work_for_the_same_day_whenever_it_runs() -> None:
    assert drift.accuracy.fn(date(2026, 3, 1), 0) == drift.accuracy.fn(date(2026, 3, 1), 0)
    assert drift.accuracy.fn(date(2026, 3, 1), 0) != drift.accuracy.fn(date(2026, 3, 2), 0)
    assert drift.accuracy.fn(date(2026, 3, 1), 0) > 0.9
    with pytest.raises(ValueError, match=r"of 2026-03-01, at least 100\.0% is required"):
        drift.drift(day=date(2026, 3, 1), least=1)


def test_a_sample_flow_is_short_enough_to_read() -> None:
    for sample in (components, digits, drift, leaderboard):
        assert inspect.getsource(sample).count("\n") <= 61
