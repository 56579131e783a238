"""How many workers a run's cluster should have, from what its scheduler says over time. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a worker has to be worth.

    Attributes:
        target_duration: time in which the known work should be done, Dask's `adaptive.target-duration`: so much work
            justifies a worker.
        unknown_task_duration: what a task counts that Dask has never seen end, Dask's `unknown-task-duration`.
        stabilization: seconds for which fewer workers must have been enough before one is taken away; the word is
            that of Kubernetes' HorizontalPodAutoscaler.

    """

    target_duration: str
    unknown_task_duration: str
    stabilization: float


PRESETS: Final = {
    # Dask's own 5 s and 0.5 s start one worker for ten unknown tasks of a minute each; with 5 s it is one for each.
    # A pod takes some 4 s to start: for less than a few times that, it is kept.
    "fast": Preset(target_duration="5s", unknown_task_duration="5s", stabilization=15),
    # As long as Dask's own adaptive deployments wait: three rounds.
    "cheap": Preset(target_duration="60s", unknown_task_duration="1s", stabilization=3),
}
"""Value of the job variable `dask_scaling` -> what it means."""


OVERDUE: Final = 60.0
"""Seconds after which a worker that should have retired counts as staying: its data has moved by then, and its grace
period is over."""


class Demand(NamedTuple):
    """What a scheduler says about its workers: how many have joined, and how many there is work for."""

    workers: int
    target: int


class Decision:
    """The target number of workers, from what the scheduler says over time.

    It rises as soon as there is work for more workers. It falls to the most that were needed at any time in the last
    `stabilization` seconds, so that all workers which were unneeded throughout retire at once.

    Args:
        minimum: never fewer.
        maximum: never more.
        initial: how many are starting at the beginning.
        stabilization: seconds.

    """

    def __init__(self, *, minimum: int, maximum: int, initial: int, stabilization: float) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self._stabilization = stabilization
        self._needs: deque[tuple[float, int]] = deque()
        self._too_many_since: float | None = None
        self.target = initial

    def take(self, demand: Demand, now: float) -> int:
        """Return the target from now on.

        Args:
            demand: what the scheduler says.
            now: a clock's seconds.

        """
        if not self._needs:
            self._needs.append((now, self.target))
        self._needs.append((now, self._needed(demand, now)))
        while self._needs[0][0] <= now - self._stabilization:
            self._needs.popleft()
        self.target = max(needed for _, needed in self._needs)
        return self.target

    def _needed(self, demand: Demand, now: float) -> int:
        if demand.target > self.target:
            needed = demand.target
        elif self._overdue(demand, now):
            needed = demand.workers
        else:
            # Only workers that have joined can be unneeded. The scheduler does not know those that are starting:
            # lowering the target by them would retire workers that have joined.
            needed = self.target - max(0, min(demand.workers, self.target) - demand.target)
        return min(max(needed, self._minimum), self._maximum)

    def _overdue(self, demand: Demand, now: float) -> bool:
        """Whether workers that should have retired are still there: the operator acts only when the target changes."""
        if demand.workers <= self.target:
            self._too_many_since = None
            return False
        if self._too_many_since is None:
            self._too_many_since = now
        if now - self._too_many_since < OVERDUE:
            return False
        self._too_many_since = None
        return True
