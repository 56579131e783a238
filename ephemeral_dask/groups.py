"""Two worker groups under one scheduler: how many workers of each are useful, and which may be retired.

Dask's scheduler knows workers only, and the operator retires them by number, whatever their group. This is sent
to the scheduler by value, for the reason that `ephemeral_dask.scheduler_plugin` gives.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Final

import cloudpickle
import dask
from dask.utils import parse_timedelta
from distributed.diagnostics.plugin import SchedulerPlugin

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LARGE: Final = "large"
"""The Dask resource that a large task asks for one of, and of which a large worker offers one for each thread. Also
the name of the group."""

ORDINARY: Final = "ordinary"
"""The group of all other workers."""

_NAME: Final = "ephemeral-dask-groups"


class Groups(SchedulerPlugin):
    """Answers for each group what Dask's scheduler answers for all workers.

    Args:
        threads: large tasks that a large worker runs at the same time.

    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._turn = ORDINARY
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        scheduler.handlers |= {"group_demand": self.demand, "group_turn": self.take_turn}

    def take_turn(self, group: str) -> None:
        """Let workers of this group be retired next, and no others."""
        self._turn = group

    def valid_workers_downscaling(self, scheduler: Any, workers: list[Any]) -> list[Any]:  # noqa: ARG002 - by name
        return [worker for worker in workers if _group(worker) == self._turn]

    def demand(self) -> dict[str, tuple[int, int]]:
        """Return group -> how many workers have joined, and how many there is work for."""
        ordinary = _Ordinary(self._scheduler)
        large = [worker for worker in self._scheduler.workers.values() if _group(worker) == LARGE]
        target = max(self._needed(large), _kept(large, ordinary.room))
        return {ORDINARY: (len(ordinary.workers), ordinary.target()), LARGE: (len(large), target)}

    def _needed(self, large: list[Any]) -> int:
        """Return how many workers the large tasks justify, by the arithmetic of `adaptive_target`."""
        tasks = [task for task in self._scheduler.unrunnable if _is_large(task)]
        tasks += [task for worker in large for task in worker.processing if _is_large(task)]
        expected = self._scheduler._get_prefix_duration  # noqa: SLF001 - `adaptive_target` has no public equivalent
        seconds: float = sum(expected(task.prefix) for task in tasks)
        a_workers: float = parse_timedelta(dask.config.get("distributed.adaptive.target-duration"))
        return math.ceil(min(math.ceil(seconds / a_workers), len(tasks)) / self._threads)


class _Ordinary:
    """A scheduler as its own arithmetic sees it when there are ordinary workers and tasks only."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self.plugins: dict[str, Any] = {}  # ignored: the group whose turn it is must not affect the target
        self.workers = {name: worker for name, worker in scheduler.workers.items() if _group(worker) == ORDINARY}
        self.unrunnable = {task: since for task, since in scheduler.unrunnable.items() if not _is_large(task)}
        self.total_occupancy = sum(worker.occupancy for worker in self.workers.values())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    def workers_to_close(self, **options: Any) -> Any:
        return type(self._scheduler).workers_to_close(self, **options)

    def target(self) -> int:
        count: int = type(self._scheduler).adaptive_target(self)
        return count

    @property
    def room(self) -> float:
        """Bytes of results that these workers may be given: half of what they have left."""
        free: float = sum(worker.memory_limit - worker.nbytes for worker in self.workers.values())
        return free / 2


def _kept(large: list[Any], room: float) -> int:
    """Return how many large workers cannot retire: busy ones, and those with results that would not fit elsewhere."""
    kept = 0
    for worker in sorted(large, key=lambda each: each.nbytes):
        if worker.processing or worker.nbytes > room:
            kept += 1
        else:
            room -= worker.nbytes
    return kept


def _group(worker: Any) -> str:
    return LARGE if LARGE in worker.resources else ORDINARY


def _is_large(task: Any) -> bool:
    return LARGE in (task.resource_restrictions or {})


async def install(comm: Any, *, threads: int) -> None:
    """Let the scheduler answer for each group from now on. Calling it again has no effect."""
    await comm.register_scheduler_plugin(plugin=cloudpickle.dumps(Groups(threads)), name=_NAME, idempotent=True)
