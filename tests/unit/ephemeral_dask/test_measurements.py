"""What workers used, measured on a real Dask cluster of processes."""

from __future__ import annotations

import asyncio
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster
from distributed.core import rpc

from ephemeral_dask import scheduler_plugin
from ephemeral_dask.groups import ORDINARY
from ephemeral_dask.measurements import Measurements
from ephemeral_dask.usage import GroupUsage, Usage

MIB = 2**20


def peak_for_a_moment(mebibytes: int) -> int:
    """Take memory and give it back at once: no report to the scheduler falls into that time."""
    return len(b"x" * (mebibytes * MIB))


def block(number: int) -> bytes:
    return bytes([number % 256]) * (40 * MIB)


def busy(seconds: float) -> float:
    until, count = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        count += 1
    return count


async def two_heartbeats(worker: Any) -> None:
    async with asyncio.timeout(30):
        for _ in range(2):
            last = worker.last_seen
            while worker.last_seen == last:  # noqa: ASYNC110  the scheduler has no event for it
                await asyncio.sleep(0.05)


def live() -> list[Usage]:
    """Return what a cluster with one small worker used in three steps."""

    async def run() -> list[Usage]:
        local: Any = LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit="600MiB", asynchronous=True, dashboard_address=":0"
        )
        usages = []

        async def read() -> None:
            for worker in list(local.scheduler.workers.values()):
                await two_heartbeats(worker)
            counters = await scheduler_plugin.call(comm, scheduler_plugin.touch_idle_timer)
            usages.append(Usage.of(counters, seconds=1.0))

        async with local, Client(local, asynchronous=True) as client, rpc(local.scheduler_address) as comm:
            await scheduler_plugin.measure(comm)
            await client.submit(peak_for_a_moment, 200)
            await read()
            await client.submit(busy, 3.0)
            await read()
            blocks = client.map(block, range(15))
            await client.gather([client.submit(len, one) for one in blocks])
            await read()
            await client.retire_workers()
            await read()
        return usages

    return asyncio.run(run())


def test_peak_memory_processor_idle_time_and_spilled_bytes_of_real_workers_are_seen() -> None:
    usages = live()
    first, second, third, last = [usage.groups[ORDINARY] for usage in usages]
    if sys.platform == "linux":
        assert first.memory_peak > 200 * MIB
    assert first.memory_limit == 600 * MIB
    assert first.spilled_peak == usages[0].spilled == 0
    # On a busy machine a task that only computes gets a part of a core.
    assert second.cpu_peak > 0.1
    assert second.cpu_usual > 0.1
    assert second.cpu_seconds - first.cpu_seconds > 0.2
    assert second.busy_reports >= 2
    assert first.idle_seconds < second.idle_seconds < second.seconds
    assert third.spilled_peak > 40 * MIB
    assert usages[2].spilled > 40 * MIB
    assert third.managed_peak > 400 * MIB
    assert last.seconds == pytest.approx(usages[3].worker_seconds, abs=0.5)
    assert usages[3].deaths == 0


def test_a_worker_without_any_report_yet_counts_by_its_time_only() -> None:
    worker = SimpleNamespace(metrics={}, processing=(), resources={}, memory_limit=None)
    measurements = Measurements()
    measurements.joined("tcp://w")
    measurements.sample(SimpleNamespace(workers={"tcp://w": worker}))
    group = GroupUsage(**measurements.read()[ORDINARY])  # type: ignore[arg-type]
    assert (group.memory_peak, group.cpu_usual, group.memory_limit) == (0, 0.0, 0)
    assert 0 <= group.idle_seconds == group.seconds < 1


def test_what_busy_workers_usually_take_leaves_rare_peaks_out() -> None:
    measurements = Measurements()
    cores = [50.0] * 95 + [400.0] * 5
    workers = {
        str(number): SimpleNamespace(metrics={"cpu": percent}, processing=("task",), resources={}, memory_limit=0)
        for number, percent in enumerate(cores)
    }
    measurements.sample(SimpleNamespace(workers=workers))
    group = GroupUsage(**measurements.read()[ORDINARY])  # type: ignore[arg-type]
    assert (group.cpu_usual, group.cpu_peak, group.busy_reports) == (pytest.approx(0.55), 4.0, 100)
