"""What the workers of a run's Dask cluster use, measured in the workers and gathered in the scheduler.

Workers report to the scheduler twice a second, and less often in large clusters. The most memory that a process has had
is therefore asked of its kernel: a peak between two reports is not missed. Sent to both by value, for the reason that
`ephemeral_dask.scheduler_plugin` gives.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import cloudpickle
from distributed.diagnostics.plugin import WorkerPlugin

cloudpickle.register_pickle_by_value(sys.modules[__name__])

_NAME: Final = "ephemeral-dask-measurements"

_LARGE: Final = "large"
"""`ephemeral_dask.groups.LARGE`, which the scheduler could not import."""
_ORDINARY: Final = "ordinary"

_PEAK: Final = "ephemeral_dask_peak_memory"
"""The metric of a worker with the most bytes that its process has had in memory."""

_BUCKET: Final = 0.05
"""Cores by which reports about a worker's processor are counted."""

_USUAL: Final = 0.9
"""Share of the reports of a busy worker that are at or below what it usually takes."""


class PeakMemory(WorkerPlugin):
    """Lets a worker report the most memory that its process has had."""

    name = _NAME

    def setup(self, worker: Any) -> None:
        worker.metrics[_PEAK] = _peak_memory


def _peak_memory(worker: Any) -> int:
    """Return bytes. Where it is not Linux this fails, and Dask leaves the metric out."""
    del worker
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


class _Group:
    """What the workers of one size have used so far. The scheduler's memory limit of a worker is 0 for none."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.idle_seconds = 0.0
        self.cpu_seconds = 0.0
        self.cpu_peak = 0.0
        self.memory_peak = 0
        self.managed_peak = 0
        self.spilled_peak = 0
        self.memory_limit = 0
        self._reports: dict[int, int] = {}

    def take(self, worker: Any, seconds: float) -> None:
        """Take note of what a worker reported last, and that it was so for some seconds."""
        metrics = worker.metrics
        cores = metrics.get("cpu", 0.0) / 100
        self.seconds += seconds
        self.cpu_seconds += cores * seconds
        if worker.processing:
            bucket = int(cores / _BUCKET)
            self._reports[bucket] = self._reports.get(bucket, 0) + 1
        else:
            self.idle_seconds += seconds
        self.cpu_peak = max(self.cpu_peak, cores)
        self.memory_peak = max(self.memory_peak, metrics.get("memory", 0), metrics.get(_PEAK, 0))
        self.managed_peak = max(self.managed_peak, metrics.get("managed_bytes", 0))
        self.spilled_peak = max(self.spilled_peak, metrics.get("spilled_bytes", {}).get("disk", 0))
        self.memory_limit = max(self.memory_limit, worker.memory_limit or 0)

    def read(self) -> dict[str, float]:
        public = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return public | {"cpu_usual": self._usual(), "busy_reports": sum(self._reports.values())}

    def _usual(self) -> float:
        left = _USUAL * sum(self._reports.values())
        for bucket in sorted(self._reports):
            left -= self._reports[bucket]
            if left <= 0:
                return (bucket + 1) * _BUCKET
        return 0.0


class Measurements:
    """Gathers what the workers report, by the groups of `ephemeral_dask.groups`."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._taken: dict[str, float] = {}

    def joined(self, address: str) -> None:
        self._taken.setdefault(address, time.monotonic())

    def left(self, address: str, worker: Any) -> None:
        since = self._taken.pop(address, None)
        if since is not None and worker is not None:
            self._take(worker, time.monotonic() - since)

    def sample(self, scheduler: Any) -> None:
        """Take note of what every worker does now. To be called about once a second."""
        now = time.monotonic()
        for address, worker in scheduler.workers.items():
            self._take(worker, now - self._taken.get(address, now))
            self._taken[address] = now

    def _take(self, worker: Any, seconds: float) -> None:
        name = _LARGE if _LARGE in worker.resources else _ORDINARY
        self._groups.setdefault(name, _Group()).take(worker, seconds)

    def read(self) -> dict[str, dict[str, float]]:
        """Return group -> measurement -> value."""
        return {name: group.read() for name, group in self._groups.items()}


def spilled_bytes(scheduler: Any) -> int:
    """Return the bytes that all workers have written to their disks for want of memory."""
    written: int = sum(
        value for name, value in scheduler.cumulative_worker_metrics.items() if name[-2:] == ("disk-write", "bytes")
    )
    return written


async def install_on_workers(comm: Any) -> None:
    """Let all workers report their peaks from now on. Calling it again has no effect."""
    await comm.register_worker_plugin(plugin=cloudpickle.dumps(PeakMemory()), name=_NAME, idempotent=True)
