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
    # As long as Dask's own adaptive deployments wait: three looks.
    "cheap": Preset(target_duration="60s", unknown_task_duration="1s", stabilization=3),
}
"""Value of the job variable `dask_scaling` -> what it means."""


OVERDUE: Final = 60.0
"""Seconds after which a worker that was to go counts as staying: its data has moved and its grace is over by then."""


class Demand(NamedTuple):
    """What a scheduler says about its workers: how many have joined, and how many there is work for."""

    workers: int
    target: int


class Decision:
    """The number of workers that is wanted, from what the scheduler says over time.

    More are wanted the moment that there is work for them; otherwise as many as were needed at any look of the last
    `stabilization` seconds, which takes all away at once that were needless at each.

    Args:
        minimum: never fewer.
        maximum: never more.
        wanted: how many are on their way at the beginning.
        stabilization: seconds.

    """

    def __init__(self, *, minimum: int, maximum: int, wanted: int, stabilization: float) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self._stabilization = stabilization
        self._needs: deque[tuple[float, int]] = deque()
        self._too_many_since: float | None = None
        self.wanted = wanted

    def take(self, demand: Demand, now: float) -> int:
        """Return how many are wanted from now on.

        Args:
            demand: what the scheduler says.
            now: a clock's seconds.

        """
        if not self._needs:
            self._needs.append((now, self.wanted))
        self._needs.append((now, self._needed(demand, now)))
        while self._needs[0][0] <= now - self._stabilization:
            self._needs.popleft()
        self.wanted = max(needed for _, needed in self._needs)
        return self.wanted

    def _needed(self, demand: Demand, now: float) -> int:
        if demand.target > self.wanted:
            needed = demand.target
        elif self._overdue(demand, now):
            needed = demand.workers
        else:
            # Only workers that have joined can be needless. Those on their way are not known yet, and to take away
            # their number would take away workers that have joined in their place.
            needed = self.wanted - max(0, min(demand.workers, self.wanted) - demand.target)
        return min(max(needed, self._minimum), self._maximum)

    def _overdue(self, demand: Demand, now: float) -> bool:
        """Whether workers that were to go have stayed: the operator acts on a change only, so it needs a new one."""
        if demand.workers <= self.wanted:
            self._too_many_since = None
            return False
        if self._too_many_since is None:
            self._too_many_since = now
        if now - self._too_many_since < OVERDUE:
            return False
        self._too_many_since = None
        return True
