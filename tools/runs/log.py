"""The log lines of a run, in order, without those that only the machinery writes.

Polled: Prefect's own subscriber (`prefect.logging.clients`) is live only, begins a minute ago and leaves out what is
written while its connection is down. Here every line counts, those from before the first look too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    LogFilter,
    LogFilterFlowRunId,
    LogFilterTimestamp,
    TaskRunFilter,
    TaskRunFilterId,
)
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort

PAGE: Final = 200
"""Log lines fetched at once; the server's own limit."""

INPUT: Final = "Input of this task: "
"""How the task runner begins the line that tells what a failed task was called with."""

TRACEBACK: Final = "\nTraceback (most recent call last)"
"""Where a log line's traceback begins."""

_LATE: Final = timedelta(seconds=10)
"""How much later than a younger line a line may arrive."""

_SETTLED: Final = 2.5
"""Seconds after which a line is printed: pods send theirs every two seconds, and another pod's may be older."""

_MACHINERY: Final = ("prefect.flow_runs.worker", "prefect.flow_runs.runner", "prefect.task_runner")
_LAST: Final = "Finished in state "
_ENGINE: Final = (
    *("Beginning ", "View at ", "Running hook ", "Hook ", "Created task run "),
    *("Downloading flow code ", "Opening process", "Created subflow run "),
)
"""What Prefect's engine writes about every run and every task; the state and the counters say the same."""


@dataclass(frozen=True)
class Line:
    """One line of the log.

    Attributes:
        time: when it was written.
        level: of Python's logging.
        task: name of the task run that wrote it, or nothing.
        text: what it says, without a traceback.

    """

    time: datetime
    level: int
    task: str
    text: str

    def __str__(self) -> str:
        level = f"{logging.getLevelName(self.level)} " if self.level >= logging.WARNING else ""
        return f"{self.time.astimezone():%H:%M:%S}  {level}{f'{self.task}: ' if self.task else ''}{self.text}"


class RunLog:
    """Reads the lines of a run and its subflow runs, each once.

    Args:
        client: of the stack's Prefect API.
        since: when the run was created.
        clock: seconds of a clock that only goes forward.

    """

    def __init__(self, client: PrefectClient, since: datetime, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._since = since - _LATE
        self._clock = clock
        self._read: set[UUID] = set()
        self._buffer: list[tuple[datetime, float, Log]] = []
        self._tasks: dict[UUID, str] = {}
        self.is_complete = False
        """Whether the last line that the flow's own process writes has been read."""

    async def lines(self, flow_runs: Sequence[UUID], *, rest: bool = False) -> list[Line]:
        """Return the lines that are new and before which none is to come; with `rest` all new ones."""
        await self._fetch(flow_runs)
        self._buffer.sort(key=lambda each: each[0])
        now = self._clock()
        ready = [position for position, each in enumerate(self._buffer) if rest or now - each[1] >= _SETTLED]
        count = ready[-1] + 1 if ready else 0
        logs = [log for _, _, log in self._buffer[:count]]
        del self._buffer[:count]
        await self._name({log.task_run_id for log in logs if log.task_run_id})
        return [self._line(log) for log in logs]

    async def _fetch(self, flow_runs: Sequence[UUID]) -> None:
        run_filter = LogFilterFlowRunId(any_=list(flow_runs))
        log_filter = LogFilter(flow_run_id=run_filter, timestamp=LogFilterTimestamp(after_=self._since))
        offset, newest = 0, self._since
        while page := await self._client.read_logs(log_filter, limit=PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC):
            for log in page:
                if log.id in self._read:
                    continue
                self._read.add(log.id)
                newest = max(newest, log.timestamp - _LATE)
                ends = log.task_run_id is None and log.message.startswith(_LAST)
                self.is_complete |= ends and log.flow_run_id == flow_runs[0]
                if not is_machinery(log):
                    self._buffer.append((log.timestamp, self._clock(), log))
            offset += len(page)
            if len(page) < PAGE:
                break
        self._since = newest

    async def _name(self, tasks: set[UUID]) -> None:
        if unknown := list(tasks - self._tasks.keys()):
            for start in range(0, len(unknown), PAGE):
                task_filter = TaskRunFilter(id=TaskRunFilterId(any_=unknown[start : start + PAGE]))
                self._tasks |= {
                    run.id: run.name for run in await self._client.read_task_runs(task_run_filter=task_filter)
                }

    def _line(self, log: Log) -> Line:
        task = self._tasks.get(log.task_run_id, "") if log.task_run_id else ""
        return Line(log.timestamp, log.level, task, log.message.partition(TRACEBACK)[0])


def is_machinery(log: Log) -> bool:
    """Tell whether a line says nothing about the flow: it is from Prefect's own steps around it."""
    if log.message.startswith((_LAST, INPUT, "Engine execution exited ")):
        return True  # how it ended, and with what input it failed, is reported at the end
    if log.level >= logging.WARNING:
        return False
    if log.name.startswith(_MACHINERY):
        return True
    return log.name in ("prefect.flow_runs", "prefect.task_runs") and log.message.startswith(_ENGINE)
