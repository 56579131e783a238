"""Two worker groups under one scheduler, on a real one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import cloudpickle
import pytest
from distributed import Client, Event, Scheduler, Worker
from distributed.core import rpc

from ephemeral_dask import groups
from ephemeral_dask.groups import LARGE, ORDINARY


@contextlib.asynccontextmanager
async def two_groups(*, ordinary: int = 1, large: int = 1) -> AsyncIterator[tuple[Client, Any, Scheduler]]:
    """Give a client, a connection and a scheduler with workers of one thread each."""
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(Scheduler(port=0, dashboard_address=None))
        for number in range(ordinary):
            await stack.enter_async_context(Worker(scheduler.address, nthreads=1, name=f"ordinary-{number}"))
        for number in range(large):
            worker = Worker(scheduler.address, nthreads=1, name=f"large-{number}", resources={LARGE: 1})
            await stack.enter_async_context(worker)
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        comm = await stack.enter_async_context(rpc(scheduler.address))
        await groups.install(comm, threads=1)
        yield client, comm, scheduler


def wait() -> None:
    Event("go").wait()


async def demanded(comm: Any, expected: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return what the scheduler says, as soon as it is what is expected, or what it says in the end."""
    demand: dict[str, tuple[int, int]] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while demand != expected:
                demand = {name: tuple(numbers) for name, numbers in (await comm.group_demand()).items()}
                await asyncio.sleep(0.02)
    return demand


def test_the_scheduler_never_imports_this_package() -> None:
    script = (
        "import sys, pickle\n"
        "groups = pickle.loads(sys.stdin.buffer.read())\n"
        "print(type(groups).__name__, 'flows' in sys.modules)"
    )
    sent = cloudpickle.dumps(groups.Groups(threads=1))
    ran = subprocess.run([sys.executable, "-I", "-c", script], input=sent, capture_output=True, check=True)
    assert ran.stdout.split() == [b"Groups", b"False"]


def test_large_tasks_ask_for_large_workers_and_other_tasks_for_others() -> None:
    async def live() -> None:
        async with two_groups(large=0) as (client, comm, _):
            go = Event("go", client=client)
            futures = [client.submit(wait, pure=False, resources={LARGE: 1}) for _ in range(12)]
            # 12 tasks of 0.5 s, as Dask takes unknown ones, in 5 s.
            expected = {ORDINARY: (1, 0), LARGE: (0, 2)}
            assert await demanded(comm, expected) == expected
            futures += client.map(lambda _: wait(), range(30), pure=False)
            expected = {ORDINARY: (1, 3), LARGE: (0, 2)}
            assert await demanded(comm, expected) == expected
            await go.set()
            await client.cancel(futures)

    asyncio.run(live())


def test_a_large_worker_goes_when_it_is_idle_and_stays_while_it_has_any_task() -> None:
    async def live() -> None:
        async with two_groups() as (client, comm, _):
            go = Event("go", client=client)
            future = client.submit(wait, workers=["large-0"], pure=False)
            expected = {ORDINARY: (1, 0), LARGE: (1, 1)}
            assert await demanded(comm, expected) == expected
            await go.set()
            await future
            expected = {ORDINARY: (1, 0), LARGE: (1, 0)}
            assert await demanded(comm, expected) == expected

    asyncio.run(live())


def test_a_large_worker_stays_while_the_others_have_no_room_for_its_results() -> None:
    async def live() -> None:
        async with two_groups() as (client, comm, scheduler):
            ordinary, large = sorted(scheduler.workers.values(), key=lambda worker: LARGE in worker.resources)
            held = client.submit(bytes, 10**6, workers=["large-0"])
            await held
            ordinary.memory_limit = 3 * large.nbytes
            assert (await comm.group_demand())[LARGE] == (1, 0)
            ordinary.memory_limit = large.nbytes
            assert (await comm.group_demand())[LARGE] == (1, 1)

    asyncio.run(live())


@pytest.mark.parametrize(("group", "survivors"), [(LARGE, {"ordinary-0", "ordinary-1"}), (ORDINARY, {"large-0"})])
def test_a_number_of_workers_is_retired_from_the_group_whose_turn_it_is(group: str, survivors: set[str]) -> None:
    async def live() -> set[str]:
        async with two_groups(ordinary=2) as (_, comm, scheduler):
            await comm.group_turn(group=group)
            gone = {LARGE: 1, ORDINARY: 2}[group]
            # As the operator asks, over HTTP.
            await scheduler.retire_workers(n=gone)
            return {str(worker.name) for worker in scheduler.workers.values()}

    assert asyncio.run(live()) == survivors
