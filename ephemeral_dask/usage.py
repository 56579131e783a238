"""What a run's Dask cluster did and used, as its scheduler reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ephemeral_dask.groups import LARGE, ORDINARY


@dataclass(frozen=True, kw_only=True)
class GroupUsage:
    """What the workers of one size used.

    Attributes:
        seconds: sum of their lives.
        idle_seconds: how much of it they had no task.
        cpu_seconds: seconds of a core that they used.
        cpu_peak: cores that one of them used at the most, over half a second.
        cpu_usual: cores that nine of ten reports of busy workers are not above.
        busy_reports: how many reports that is about.
        memory_peak: bytes of the process of the largest worker.
        managed_peak: bytes of results that a worker had at the most, spilled ones included.
        spilled_peak: bytes of results that a worker had on disk at the most.
        memory_limit: bytes that Dask allows a worker; 0 for no limit.

    """

    seconds: float = 0.0
    idle_seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpu_peak: float = 0.0
    cpu_usual: float = 0.0
    busy_reports: int = 0
    memory_peak: int = 0
    managed_peak: int = 0
    spilled_peak: int = 0
    memory_limit: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run's Dask cluster did, as far as its scheduler reported it.

    Attributes:
        seconds: from the start being complete to the close.
        peak: workers at the same time, at most.
        peak_after: seconds after the start at which there were so many for the first time.
        worker_seconds: sum of the lives of all workers.
        tasks: Dask tasks that returned a result.
        again: tasks that ran again, because the worker that held their result was gone.
        deaths: workers that were lost, and not retired.
        spilled: bytes that all workers wrote to disk for want of memory.
        waited: seconds, after the start, in which workers had been asked for that had not joined yet.
        groups: what the workers used, by the names of `ephemeral_dask.groups`.
        report: Dask's performance report, HTML; empty when the settings ask for none or the scheduler returned none.

    """

    seconds: float
    peak: int = 0
    peak_after: float = 0.0
    worker_seconds: float = 0.0
    tasks: int = 0
    again: int = 0
    deaths: int = 0
    spilled: int = 0
    waited: float = 0.0
    groups: Mapping[str, GroupUsage] = field(default_factory=dict)
    report: str = ""

    @classmethod
    def of(cls, counters: Mapping[str, Any], *, seconds: float, report: str = "") -> Usage:
        """Read the counters of `ephemeral_dask.scheduler_plugin`; none if the scheduler never returned any."""
        groups = {name: GroupUsage(**values) for name, values in counters.get("groups", {}).items()}
        return cls(**{**counters, "groups": groups}, seconds=seconds, report=report)

    def waiting(self, waited: float | None, first_workers: int) -> Usage:
        """Add how long workers had been asked for that had not joined.

        Args:
            waited: as the autoscaler has it; None for a cluster of a fixed size.
            first_workers: number of workers that such a cluster was created with.

        """
        if waited is None:
            waited = self.peak_after if self.peak >= first_workers else self.seconds
        return replace(self, waited=waited)

    def group(self, name: str, *, only: bool) -> GroupUsage:
        """Return what the workers of a group used.

        Args:
            name: of the group.
            only: whether it is the cluster's only one. Its workers take large tasks too, and count as large then.

        """
        other = LARGE if only and name == ORDINARY and LARGE in self.groups else name
        return self.groups.get(other, GroupUsage())
