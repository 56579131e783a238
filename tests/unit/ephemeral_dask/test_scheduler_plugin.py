"""What goes to the scheduler goes there by value, and works on a real one."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from typing import Any

import cloudpickle
import httpx
import pytest
from distributed import Client, LocalCluster
from distributed.core import rpc

from ephemeral_dask import scheduler_plugin
from ephemeral_dask.contract import ports
from tests.support.scratch_prefect import free_port


def test_the_scheduler_never_imports_this_package() -> None:
    script = (
        "import sys, pickle\n"
        "class Scheduler: idle_since, plugins = 5, {}\n"
        "pickle.loads(sys.stdin.buffer.read())(Scheduler)\n"
        "print(Scheduler.idle_since, 'flows' in sys.modules)"
    )
    sent = cloudpickle.dumps(scheduler_plugin.touch_idle_timer)
    ran = subprocess.run([sys.executable, "-I", "-c", script], input=sent, capture_output=True, check=True)
    assert ran.stdout.split() == [b"None", b"False"]


def test_the_ledger_counts_workers_over_time_tasks_and_tasks_whose_result_was_lost() -> None:
    async def live() -> list[dict[str, float]]:
        local: Any = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, asynchronous=True, dashboard_address=":0"
        )
        counters = []
        async with local, Client(local, asynchronous=True) as client, rpc(local.scheduler_address) as comm:
            installed = time.monotonic()
            await scheduler_plugin.install(comm)
            await scheduler_plugin.install(comm)
            began = time.monotonic()
            futures = client.map(str, range(10), pure=False)
            await client.gather(futures)
            counters.append(await scheduler_plugin.call(comm, scheduler_plugin.touch_idle_timer))
            lost = len((await client.has_what())[local.workers[0].address])
            await local.workers[0].close()  # without retiring: what it held is gone
            await client.gather(futures)
            counters.append(await scheduler_plugin.call(comm, scheduler_plugin.touch_idle_timer))
            least, most = time.monotonic() - began, time.monotonic() - installed
        return [*counters, {"lost": lost, "least": least, "most": most}]

    first, second, truth = asyncio.run(live())
    assert (first["peak"], first["tasks"], first["again"]) == (2, 10, 0)
    assert truth["lost"] > 0
    assert (second["peak"], second["again"], second["tasks"]) == (2, truth["lost"], 10 + truth["lost"])
    assert truth["least"] * 0.5 < second["worker_seconds"] < truth["most"] * 2


def metrics_of_a_scheduler(port: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], bool]:
    """Return what its metrics' port answers to three paths, and whether the scheduler has begun to count."""
    monkeypatch.setattr(ports, "SCHEDULER_METRICS", port)

    async def live() -> tuple[list[int], bool]:
        local: Any = LocalCluster(n_workers=0, processes=False, asynchronous=True, dashboard_address=":0")
        async with local, rpc(local.scheduler_address) as comm, httpx.AsyncClient(trust_env=False) as client:
            await scheduler_plugin.install(comm)
            await scheduler_plugin.install(comm)
            paths = ("metrics", "api/v1/retire_workers", "health")
            statuses = []
            for path in paths:
                try:
                    statuses.append((await client.get(f"http://127.0.0.1:{port}/{path}")).status_code)
                except httpx.HTTPError:
                    statuses.append(0)
            return statuses, "peak" in await scheduler_plugin.call(comm, scheduler_plugin.touch_idle_timer)

    return asyncio.run(live())


def test_a_scheduler_serves_its_metrics_and_nothing_else_on_their_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metrics_of_a_scheduler(free_port(), monkeypatch) == ([200, 404, 404], True)


def test_a_scheduler_whose_port_for_metrics_is_taken_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert metrics_of_a_scheduler(taken.getsockname()[1], monkeypatch) == ([0, 0, 0], True)
