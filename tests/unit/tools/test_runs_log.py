from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import Log

from tools.runs.log import RunLog, is_machinery

RUN = uuid4()
START = datetime(2026, 11, 27, 12, tzinfo=UTC)


def log(
    second: float, message: str, *, name: str = "prefect.flow_runs", level: int = logging.INFO, task: UUID | None = None
) -> Log:
    time = START + timedelta(seconds=second)
    return Log(
        id=uuid4(),
        created=time,
        name=name,
        level=level,
        message=message,
        timestamp=time,
        flow_run_id=RUN,
        task_run_id=task,
    )


class Server:
    """Answers as Prefect's client does, from a list of log lines."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.names: dict[UUID, str] = {}

    async def read_logs(self, log_filter: Any, *, limit: int, offset: int, sort: Any) -> list[Log]:  # noqa: ARG002
        after = log_filter.timestamp.after_
        logs = sorted((each for each in self.logs if each.timestamp >= after), key=lambda each: each.timestamp)
        return logs[offset : offset + limit]

    async def read_task_runs(self, *, task_run_filter: Any) -> list[Any]:
        class Run:
            def __init__(self, run: UUID, name: str) -> None:
                self.id, self.name = run, name

        return [Run(run, self.names[run]) for run in task_run_filter.id.any_]


class Reader:
    """A log whose clock the test moves."""

    def __init__(self, server: Server) -> None:
        self.now = 0.0
        self.log = RunLog(server, START, clock=lambda: self.now)  # type: ignore[arg-type]

    def read(self, *, rest: bool = False) -> list[str]:
        lines = asyncio.run(self.log.lines([RUN], rest=rest))
        return [line.text for line in lines]


def test_a_line_that_arrives_late_is_still_printed_before_a_younger_one() -> None:
    server = Server()
    reader = Reader(server)
    server.logs = [log(2, "second")]
    assert reader.read() == []
    server.logs += [log(1, "first"), log(4, "third")]
    reader.now = 2.6
    assert reader.read() == ["first", "second"]
    assert reader.read(rest=True) == ["third"]


def test_each_line_is_printed_once_over_any_number_of_pages() -> None:
    server = Server()
    reader = Reader(server)
    server.logs = [log(second / 100, str(second)) for second in range(450)]
    assert reader.read(rest=True) == [str(number) for number in range(450)]
    assert reader.read(rest=True) == []


def test_a_line_of_a_task_begins_with_the_tasks_name() -> None:
    server = Server()
    task = uuid4()
    server.names = {task: "train-3f2"}
    server.logs = [log(1, "slow", name="prefect.task_runs", level=logging.WARNING, task=task)]
    (line,) = asyncio.run(Reader(server).log.lines([RUN], rest=True))
    assert str(line).endswith("WARNING train-3f2: slow")


def test_a_traceback_in_a_line_is_left_for_the_end() -> None:
    server = Server()
    server.logs = [log(1, "failed: a\nTraceback (most recent call last):\n  File ...", level=logging.ERROR)]
    assert Reader(server).read(rest=True) == ["failed: a"]


def test_the_log_is_complete_with_the_last_line_that_the_flow_writes() -> None:
    server = Server()
    reader = Reader(server)
    task = uuid4()
    server.logs = [log(1, "Finished in state Completed()", name="prefect.task_runs", task=task)]
    reader.read()
    assert not reader.log.is_complete
    server.logs.append(log(2, "Finished in state Completed()"))
    reader.read()
    assert reader.log.is_complete


@pytest.mark.parametrize(
    ("name", "message", "level"),
    [
        ("prefect.task_runs", "Finished in state Completed()", logging.INFO),
        ("prefect.flow_runs", "Finished in state Failed('Flow run encountered an exception')", logging.ERROR),
        ("prefect.flow_runs.worker", "Creating Kubernetes job...", logging.INFO),
        ("prefect.flow_runs.runner", "Opening process...", logging.INFO),
        ("prefect.flow_runs", "Beginning flow run 'a' for flow 'b'", logging.INFO),
        ("prefect.task_runs", "Input of this task: n=1", logging.ERROR),
    ],
)
def test_what_prefects_machinery_writes_is_left_out(name: str, message: str, level: int) -> None:
    assert is_machinery(log(1, message, name=name, level=level))


@pytest.mark.parametrize(
    ("name", "message", "level"),
    [
        ("prefect.flow_runs", "The best of 12 forests", logging.INFO),
        ("prefect.flow_runs.worker", "Pod never started", logging.ERROR),
        ("sklearn", "Beginning the fit", logging.INFO),
        (
            "prefect.task_runs",
            "Task run failed with exception: x - Retry 1/2 will start 1 second(s) from now",
            logging.INFO,
        ),
    ],
)
def test_what_a_flow_writes_and_every_warning_is_printed(name: str, message: str, level: int) -> None:
    assert not is_machinery(log(1, message, name=name, level=level))
