from __future__ import annotations

import logging
from typing import Any

import pytest
from distributed import Client
from prefect import task
from prefect_dask import DaskTaskRunner
from prefect_dask.client import PrefectDaskClient

from ephemeral_dask import ephemeral_dask
from ephemeral_dask.lean import releases, task_runner
from ephemeral_dask.lean.shared_context import TaskContext, UnknownContextError
from ephemeral_dask.lean.task_runner import LeanDaskTaskRunner, submitted
from ephemeral_dask.lean.worker import TaskCall


@task
def example(number: int) -> int:
    return number


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was submitted the way of prefect-dask."""
    submissions: list[Any] = []

    def submit(_self: Any, *arguments: Any) -> Any:
        submissions.append(arguments)
        return "future"

    monkeypatch.setattr(DaskTaskRunner, "submit", submit)
    monkeypatch.setattr(LeanDaskTaskRunner, "client", None)
    return submissions


def test_the_task_runner_of_a_flow_takes_the_shorter_way() -> None:
    assert isinstance(ephemeral_dask(), LeanDaskTaskRunner)


def test_with_an_untested_prefect_tasks_go_the_way_of_prefect_dask_and_the_log_says_so_once(
    stock: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(releases, "untested", lambda: "prefect 3.9.0")
    with LeanDaskTaskRunner() as runner, caplog.at_level(logging.INFO):
        runner.logger = logging.getLogger("lean")  # type: ignore[assignment]
        for number in range(2):
            assert runner.submit(example, {"number": number}, None, {}) == "future"
    assert stock == [(example, {"number": number}, None, {}) for number in range(2)]
    assert [record.message for record in caplog.records] == [
        "Tasks are submitted as prefect-dask does it, which takes longer, because of prefect 3.9.0"
    ]


def test_with_an_unknown_context_tasks_go_the_way_of_prefect_dask(
    stock: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any) -> None:
        raise UnknownContextError("weather_context")

    monkeypatch.setattr(task_runner, "task_context", unknown)
    with LeanDaskTaskRunner() as runner:
        assert runner.submit(example, {"number": 1}) == "future"  # type: ignore[comparison-overlap]
    assert len(stock) == 1


def test_a_runner_that_is_not_started_submits_nothing(stock: list[Any]) -> None:
    with pytest.raises(RuntimeError, match="must be started"):
        LeanDaskTaskRunner().submit(example, {"number": 1})
    assert stock == []


def test_a_class_between_prefect_dask_and_dask_sees_all_that_prefect_dask_would_submit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments_of_dask: dict[str, Any] = {}

    class Between(Client):
        def submit(self, func: Any, *_: Any, **arguments: Any) -> Any:
            arguments_of_dask.update(arguments, func=func)
            return type("Future", (), {})()

    class Derived(PrefectDaskClient, Between): ...

    monkeypatch.setattr(task_runner, "task_context", lambda *_: TaskContext("shared", {}))  # type: ignore[arg-type]
    client = Derived.__new__(Derived)
    future = submitted(client, example, {"number": 1}, None, {})
    assert isinstance(arguments_of_dask["func"], TaskCall)
    assert (arguments_of_dask["task"].name, arguments_of_dask["task"].tags) == ("example", set())
    assert arguments_of_dask["task_run_id"] == future.task_run_id == future.wrapped_future.task_run_id
    assert arguments_of_dask["parameters"] == {"number": 1}
    assert (arguments_of_dask["wait_for"], arguments_of_dask["return_type"]) == (None, "state")
