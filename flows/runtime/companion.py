"""What the flow pod does beside its own code for as long as its Dask cluster lives."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from flows.runtime import scheduler_side

LONGEST_SILENCE: Final = 60.0
"""Seconds between two signs of life to the scheduler; fewer where the idle timeout is short."""

_LAST_WORDS: Final = 5.0
"""Seconds that the scheduler gets to tell its counts at the end."""

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

    """

    seconds: float
    peak: int = 0
    worker_seconds: float = 0.0
    tasks: int = 0
    again: int = 0


class Companion:
    """Tells the scheduler that the flow lives, and remembers what it counts. Belongs to the cluster's event loop.

    Dask's idleness counts tasks: without a sign of life the operator would delete the cluster in the midst of a
    long step that has none. Nothing here ever fails a run.
    """

    def __init__(self, comm: Any, *, cluster: str, idle_timeout: float, log: Log) -> None:
        self._comm = comm
        self._cluster = cluster
        self._every = min(LONGEST_SILENCE, idle_timeout / 4)
        self._log = log
        self._began = time.monotonic()
        self._counted: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> Usage:
        """End, and return what the cluster did."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            try:
                await asyncio.wait_for(self._attend(), _LAST_WORDS)
            except TimeoutError:
                self._log.debug("The scheduler of Dask cluster %s did not tell its last counts", self._cluster)
        counted = {name: int(value) for name, value in self._counted.items() if name != "worker_seconds"}
        worker_seconds = self._counted.get("worker_seconds", 0.0)
        return Usage(seconds=time.monotonic() - self._began, worker_seconds=worker_seconds, **counted)

    async def _live(self) -> None:
        while True:
            await self._attend()
            await asyncio.sleep(self._every)

    async def _attend(self) -> None:
        try:
            await scheduler_side.install(self._comm)  # anew where the scheduler was restarted
            self._counted = await scheduler_side.call(self._comm, scheduler_side.attend)
        except Exception as error:  # noqa: BLE001 - a scheduler may be away for a moment in any way
            self._log.debug("Dask cluster %s did not hear that its run lives: %r", self._cluster, error)
