"""What the flow pod does beside its own code for as long as its Dask cluster lives."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from ephemeral_dask import scheduler_plugin as scheduler_side

LONGEST_SILENCE: Final = 60.0
"""Seconds between two signs of life to the scheduler; fewer where the idle timeout is short."""

_LAST_WORDS: Final = 5.0
"""Seconds that the scheduler gets to tell its counts at the end."""

_REPORT: Final = 15.0
"""Seconds that it gets to draw its performance report; two are usual."""

Log = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run's Dask cluster did, as far as its scheduler told.

    Attributes:
        seconds: from the start being complete to the close.
        peak: workers at the same time, at most.
        worker_seconds: sum of the lives of all workers.
        tasks: Dask tasks that ended with a result.
        again: tasks run once more, because the worker that held their result went.
        report: Dask's performance report, HTML; empty when none was wanted or the scheduler gave none.

    """

    seconds: float
    peak: int = 0
    worker_seconds: float = 0.0
    tasks: int = 0
    again: int = 0
    report: str = ""


class Companion:
    """Tells the scheduler that the flow lives, and remembers what it counts. Belongs to the cluster's event loop.

    Dask's idleness counts tasks: without a sign of life the operator would delete the cluster in the midst of a
    long step that has none. Nothing here ever fails a run.
    """

    def __init__(self, comm: Any, *, cluster: str, idle_timeout: float, report: bool, log: Log) -> None:
        self._comm = comm
        self._cluster = cluster
        self._every = min(LONGEST_SILENCE, idle_timeout / 4)
        self._report = report
        self._log = log
        self._began = time.monotonic()
        self._began_at = time.time()
        self._counted: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> Usage:
        """End, and return what the cluster did."""
        report = ""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            try:
                await asyncio.wait_for(self._attend(), _LAST_WORDS)
            except TimeoutError:
                self._log.debug("The scheduler of Dask cluster %s did not tell its last counts", self._cluster)
            if self._report:
                report = await self._draw_report()
        counted = {name: int(value) for name, value in self._counted.items() if name != "worker_seconds"}
        worker_seconds = self._counted.get("worker_seconds", 0.0)
        return Usage(seconds=time.monotonic() - self._began, worker_seconds=worker_seconds, report=report, **counted)

    async def _draw_report(self) -> str:
        try:
            drawing = self._comm.performance_report(start=self._began_at, last_count=0, code="")
            return str(await asyncio.wait_for(drawing, _REPORT))
        except Exception as error:  # noqa: BLE001 - a scheduler may be away in any way
            self._log.warning("Dask cluster %s gave no performance report: %r", self._cluster, error)
            return ""

    async def _live(self) -> None:
        while True:
            await self._attend()
            await asyncio.sleep(self._every)

    async def _attend(self) -> None:
        try:
            await scheduler_side.install(self._comm)  # anew where the scheduler was restarted
            if self._report:
                await self._comm.get_task_stream(start=0, stop=0, count=None)  # from here on it is recorded
            self._counted = await scheduler_side.call(self._comm, scheduler_side.attend)
        except Exception as error:  # noqa: BLE001 - a scheduler may be away for a moment in any way
            self._log.debug("Dask cluster %s did not hear that its run lives: %r", self._cluster, error)
