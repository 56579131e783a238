"""The flow pod's heartbeat to its Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from ephemeral_dask import scheduler_plugin
from ephemeral_dask.usage import Usage

LONGEST_SILENCE: Final = 60.0
"""Seconds between two heartbeats to the scheduler; fewer where the idle timeout is short."""

_LAST_COUNTERS: Final = 5.0
"""Seconds that the scheduler has to return its counters at the end."""

_REPORT: Final = 15.0
"""Seconds that it has for its performance report; two are usual."""

Log = logging.Logger | logging.LoggerAdapter[Any]


class KeepAlive:
    """Tells the scheduler that the flow pod is alive, and keeps its counters. Belongs to the cluster's event loop.

    Dask's idle timer looks at tasks only: without heartbeats the operator would delete the cluster in the middle of a
    long step without tasks. Nothing here ever fails a run.
    """

    def __init__(self, comm: Any, *, cluster: str, idle_timeout: float, report: bool, log: Log) -> None:
        self._comm = comm
        self._cluster = cluster
        self._every = min(LONGEST_SILENCE, idle_timeout / 4)
        self._report = report
        self._log = log
        self._began = time.monotonic()
        self._began_at = time.time()
        self._counters: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._loop())

    async def stop(self, *, ask: bool = True) -> Usage:
        """End, and return what the cluster did.

        Args:
            ask: for the last counters; a scheduler that is gone has none.

        """
        report = ""
        if self._task is not None:
            self._task.cancel()
        if self._task is not None and ask:
            try:
                await asyncio.wait_for(self._touch(), _LAST_COUNTERS)
            except TimeoutError:
                self._log.debug("The scheduler of Dask cluster %s did not return its last counters", self._cluster)
            if self._report:
                report = await self._performance_report()
        return Usage.of(self._counters, seconds=time.monotonic() - self._began, report=report)

    async def _performance_report(self) -> str:
        try:
            report = self._comm.performance_report(start=self._began_at, last_count=0, code="")
            return str(await asyncio.wait_for(report, _REPORT))
        except Exception as error:  # noqa: BLE001 - a scheduler may be away in any way
            self._log.warning("Dask cluster %s gave no performance report: %r", self._cluster, error)
            return ""

    async def _loop(self) -> None:
        while True:
            await self._touch()
            await asyncio.sleep(self._every)

    async def _touch(self) -> None:
        try:
            await scheduler_plugin.install(self._comm)  # again, in case the scheduler was restarted
            if self._report:
                await self._comm.get_task_stream(start=0, stop=0, count=None)  # from here on it is recorded
            self._counters = await scheduler_plugin.call(self._comm, scheduler_plugin.touch_idle_timer)
        except Exception as error:  # noqa: BLE001 - a scheduler may be away for a moment in any way
            self._log.debug("The heartbeat to Dask cluster %s failed: %r", self._cluster, error)
