"""Keeps the number of workers at what is wanted, second by second.

The scheduler says how many it can use, as it does to Dask's own adaptive deployments; the operator makes and retires
them, as it does for its own autoscaler. What is ours is the step between: that autoscaler looks every 5 s, rests for
15 s after a change, and takes away a quarter at a time (`daskautoscaler_adapt` in
https://github.com/dask/dask-kubernetes/blob/2026.3.0/dask_kubernetes/operator/controller/controller.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from flows.runtime.kube import KubeError
from flows.runtime.scaling import Decision, Demand

INTERVAL: Final = 1.0
"""Seconds between two looks: `distributed.adaptive.interval`."""

_PATIENCE: Final = 5.0
"""Seconds that the scheduler has for an answer."""

_REPORTED_AFTER: Final = 30
"""Looks in a row that may fail before the run's log says so: an API server may be away for a moment."""

Log = logging.Logger | logging.LoggerAdapter[Any]


class Autoscaler:
    """Scales one cluster for as long as it lives. Belongs to the cluster's event loop; never fails a run.

    Args:
        comm: a connection to the scheduler.
        decision: what to want.
        scale: asks Kubernetes for that many workers; may raise KubeError.
        cluster: its name, for the log.
        log: where it goes.

    """

    def __init__(
        self, comm: Any, decision: Decision, scale: Callable[[int], Awaitable[None]], *, cluster: str, log: Log
    ) -> None:
        self._comm = comm
        self._decision = decision
        self._scale = scale
        self._cluster = cluster
        self._log = log
        self._asked = decision.wanted
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """End; the cluster keeps the workers that it has."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _live(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(INTERVAL)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                target = await self._comm.adaptive_target()
                demand = Demand(len(await self._comm.ncores()), target)
            wanted = self._decision.take(demand, time.monotonic())
            if wanted != self._asked:
                await self._scale(wanted)
                self._log.info(
                    "Dask cluster %s goes from %d to %d workers (%d have joined, %d have work)",
                    self._cluster,
                    self._asked,
                    wanted,
                    demand.workers,
                    demand.target,
                )
                self._asked = wanted
            self._failures = 0
        except KubeError as error:
            self._failed(error, last=not error.transient)
        except Exception as error:  # noqa: BLE001 - a scheduler may be away for a moment in any way
            self._failed(error, last=False)

    def _failed(self, error: Exception, *, last: bool) -> None:
        self._failures += 1
        if self._failures == (1 if last else _REPORTED_AFTER):
            self._log.warning(
                "The number of workers of Dask cluster %s stays at %d for now: %s", self._cluster, self._asked, error
            )
