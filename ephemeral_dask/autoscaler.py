"""Keeps the number of workers of each group at its target, second by second.

The scheduler says how many it can use, as for Dask's own adaptive deployments; the operator creates and retires them,
as for its own autoscaler. This module is the step between: the operator's autoscaler acts every 5 s, pauses for 15 s
after a change, and retires a quarter at a time (`daskautoscaler_adapt` in
https://github.com/dask/dask-kubernetes/blob/2026.3.0/dask_kubernetes/operator/controller/controller.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ephemeral_dask import groups
from ephemeral_dask.kube import KubeError
from ephemeral_dask.scaling import Decision, Demand

INTERVAL: Final = 1.0
"""Seconds between two rounds: `distributed.adaptive.interval`."""

_ANSWER_TIMEOUT: Final = 5.0
"""Seconds that the scheduler has for an answer."""

_REPORTED_AFTER: Final = 30
"""Rounds in a row that may fail before the run's log says so: an API server may be away for a moment."""

EXPLAINED_AFTER: Final = 45.0
"""Seconds that workers may be on their way before the log says why they do not come: an image is pulled by then."""

Log = logging.Logger | logging.LoggerAdapter[Any]


@dataclass
class Group:
    """Workers of one size.

    Attributes:
        title: what the log calls them, such as `workers`.
        worker_group: the DaskWorkerGroup that has them.
        decision: the target over time.
        asked: the number of workers in the last request to Kubernetes.

    """

    title: str
    worker_group: str
    decision: Decision
    asked: int = field(init=False)

    def __post_init__(self) -> None:
        self.asked = self.decision.target


class Autoscaler:
    """Scales one cluster for as long as it lives. Belongs to the cluster's event loop; never fails a run.

    Args:
        comm: a connection to the scheduler.
        scaled: the groups to scale, by the name that `ephemeral_dask.groups` gives them.
        scale: asks Kubernetes for so many workers of a DaskWorkerGroup; may raise KubeError.
        explain: says why workers do not come, or "" when nothing names a cause; may raise KubeError.
        large_threads: large tasks that a large worker runs at the same time; None where there is no such group.
        cluster: its name, for the log.
        log: where it goes.

    Attributes:
        waited: seconds in which workers had been asked for that had not joined yet.

    """

    def __init__(
        self,
        comm: Any,
        scaled: Mapping[str, Group],
        scale: Callable[[str, int], Awaitable[None]],
        explain: Callable[[], Awaitable[str]],
        *,
        large_threads: int | None,
        cluster: str,
        log: Log,
    ) -> None:
        self._comm = comm
        self._groups = scaled
        self._scale = scale
        self._explain = explain
        self._large_threads = large_threads
        self._cluster = cluster
        self._log = log
        self._ready = False
        self._short_since: float | None = None
        self._explained = ""
        self._failures = 0
        self._round: float | None = None
        self.waited = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._loop())

    async def stop(self) -> None:
        """End; the cluster keeps the workers that it has."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _loop(self) -> None:
        while True:
            await self._adjust_all()
            await asyncio.sleep(INTERVAL)

    async def _adjust_all(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                demands = await self._ask()
                for name, group in self._groups.items():
                    await self._adjust(name, group, demands)
            await self._explain_missing(demands)
            self._failures = 0
        except KubeError as error:
            self._failed(error, last=not error.transient)
        except Exception as error:  # noqa: BLE001 - a scheduler may be away for a moment in any way
            self._ready = False  # it may come back as another process, without the groups
            self._failed(error, last=False)

    async def _ask(self) -> Mapping[str, Demand]:
        if self._large_threads is None:
            target = await self._comm.adaptive_target()
            return {groups.ORDINARY: Demand(len(await self._comm.ncores()), target)}
        if not self._ready:
            await groups.install(self._comm, threads=self._large_threads)
            self._ready = True
        return {name: Demand(*numbers) for name, numbers in (await self._comm.group_demand()).items()}

    async def _adjust(self, name: str, group: Group, demands: Mapping[str, Demand]) -> None:
        target = group.decision.take(demands[name], time.monotonic())
        if target == group.asked:
            return
        if target < group.asked and self._large_threads is not None:
            if any(demands[other].workers > each.asked for other, each in self._groups.items() if each is not group):
                return  # the operator is retiring workers of that one, by number
            await self._comm.group_turn(group=name)
        await self._scale(group.worker_group, target)
        self._log.info(
            "Dask cluster %s goes from %d to %d %s (%d have joined, %d have work)",
            self._cluster,
            group.asked,
            target,
            group.title,
            *demands[name],
        )
        group.asked = target

    async def _explain_missing(self, demands: Mapping[str, Demand]) -> None:
        """Say why workers have not come, when they have not for a while; each cause once."""
        missing = sum(max(0, group.asked - demands[name].workers) for name, group in self._groups.items())
        now = time.monotonic()
        self.waited += now - self._round if missing and self._round is not None else 0.0
        self._round = now
        if not missing:
            self._short_since, self._explained = None, ""
            return
        self._short_since = now if self._short_since is None else self._short_since
        if now - self._short_since < EXPLAINED_AFTER:
            return
        self._short_since = now
        why = await self._explain()
        if why and why != self._explained:
            self._log.warning("Dask cluster %s waits for workers (%d to come): %s", self._cluster, missing, why)
            self._explained = why

    def _failed(self, error: Exception, *, last: bool) -> None:
        self._failures += 1
        if self._failures == (1 if last else _REPORTED_AFTER):
            self._log.warning(
                "The number of workers of Dask cluster %s stays as it is for now (%s): %s",
                self._cluster,
                ", ".join(f"{group.title}: {group.asked}" for group in self._groups.values()),
                error,
            )
