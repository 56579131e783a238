"""How far a run is: its tasks in numbers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType

from tools.runs.dask_cluster import ClusterView

_LAG: Final = 6.0
"""Seconds for which a total is kept: Prefect counts a task that has ended a moment after Dask does."""

_FAILED: Final = (StateType.FAILED, StateType.CRASHED)


@dataclass(frozen=True)
class TaskCounts:
    """Task runs of a run and its subflow runs, by how they stand in Prefect.

    Attributes:
        started: task runs that have started, ended ones included.
        completed: those that ended well, or were cancelled.
        failed: those that failed or crashed.

    """

    started: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        return self.completed + self.failed


async def count_tasks(client: PrefectClient, flow_runs: Sequence[UUID]) -> TaskCounts:
    """Count the task runs of these flow runs; a subflow run's stand-in among them is not one."""

    async def count(*states: StateType) -> int:
        query: dict[str, Any] = {
            "flow_run_id": {"any_": [str(each) for each in flow_runs]},
            "subflow_runs": {"exists_": False},
        }
        if states:
            query["state"] = {"type": {"any_": [state.value for state in states]}}
        response = await client.request("POST", "/task_runs/count", json={"task_runs": query})
        return int(response.json())

    ended = await count(StateType.COMPLETED, StateType.CANCELLED)
    failed = await count(*_FAILED)
    return TaskCounts(started=max(await count(), ended + failed), completed=ended, failed=failed)


class Progress:
    """Puts the numbers into words: `tasks 23 of 61, 0 failed, 4 workers`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._totals: deque[tuple[float, int]] = deque()

    def text(self, counts: TaskCounts, cluster: ClusterView | None) -> str:
        """Return the words, or nothing where there is no task.

        Args:
            counts: from Prefect.
            cluster: the run's Dask cluster, or None when nothing is known about it.

        """
        unfinished = cluster.unfinished if cluster else None
        if not counts.started and not unfinished:
            return ""
        if unfinished is None and counts.ended < counts.started:
            tasks = f"tasks {counts.ended} ended, {counts.started - counts.ended} running"
        else:
            tasks = f"tasks {counts.ended} of {self._total(max(counts.started, counts.ended + (unfinished or 0)))}"
        workers = (
            f", {cluster.workers} worker{'' if cluster.workers == 1 else 's'}" if cluster and cluster.exists else ""
        )
        return f"{tasks}, {counts.failed} failed{workers}"

    def _total(self, total: int) -> int:
        now = self._clock()
        self._totals.append((now, total))
        while self._totals[0][0] < now - _LAG:
            self._totals.popleft()
        return max(each for _, each in self._totals)
