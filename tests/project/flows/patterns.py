"""What flows do beside mapping tasks: retries, subflows, async tasks, suspension, Dask collections, large results."""

import asyncio

import dask.array as da
import numpy as np
from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run, task_run
from prefect_dask.utils import get_dask_client

from ephemeral_dask import ephemeral_dask

runner = ephemeral_dask(maximum=2, worker_cpu="100m", worker_memory="768Mi")


@task(retries=2, retry_delay_seconds=1)
def shaky(number: int) -> int:
    """Fail at the first attempt, and return the number at the second."""
    if task_run.run_count == 1:
        raise ConnectionError("the first attempt fails")
    return number


@flow(task_runner=runner)
def child(numbers: list[int]) -> int:
    """Return the sum of the numbers, each from a task that fails once."""
    return sum(shaky.map(numbers).result())


@task
def add(first: int, second: int) -> int:
    """Return the sum."""
    return first + second


@flow(retries=1, task_runner=runner)
def retried() -> int:
    """Return the sum of two subflows, which have Dask clusters of their own, at the second attempt."""
    total = add.submit(child([1, 2]), child([3, 4])).result()
    if flow_run.run_count == 1:
        raise ConnectionError("the first attempt fails after its subflows")
    return total


@task
async def waits(number: int) -> int:
    """Return the number after a moment."""
    await asyncio.sleep(0.1)
    return number


@flow(task_runner=runner)
async def asynchronous() -> int:
    """Return the sum of what async tasks return."""
    return sum(future.result() for future in waits.map([1, 2, 3]))


@task
def before(number: int) -> int:
    """Return the number, and say so: a log with two lines for one number shows that it ran twice."""
    get_run_logger().info("Before the suspension: %d", number)
    return number


@flow(task_runner=runner)
def approved() -> int:
    """Return a sum half of which is computed before the run is suspended, and half after it is resumed."""
    first = sum(before.map([1, 2]).result())
    suspend_flow_run(timeout=600, key="approval")
    return first + sum(before.map([3, 4]).result())


@task
def mean(rows: int) -> float:
    """Return the mean of a Dask array that no worker holds at once."""
    with get_dask_client():
        return float(da.ones((rows, 1000), chunks=(rows // 20, 1000)).mean().compute())


@flow(task_runner=runner)
def collection(rows: int = 100_000) -> float:
    """Return the mean of an array of 800 MB."""
    return mean.submit(rows).result()


@task(persist_result=False)
def block(number: int, megabytes: int) -> bytes:
    """Return a large result."""
    return bytes([number]) * (megabytes * 10**6)


# Prefect's default cache key takes eleven times the size of bytes: docs/upstream/prefect-input-hash.md.
@task(cache_policy=NO_CACHE)
def length(value: bytes, number: int) -> int:
    """Return the size of a large result, and fail if it is another one."""
    if value[:1] != bytes([number]):
        raise ValueError(f"result {number} is that of another task")
    return len(value)


@flow(task_runner=runner)
def large(count: int = 16, megabytes: int = 80) -> int:
    """Return the size of all results together, which is more than the memory of all workers."""
    numbers = list(range(count))
    blocks = block.map(numbers, megabytes=unmapped(megabytes))
    for each in blocks:
        each.wait()
    return sum(length.map(blocks, numbers).result())


@task(persist_result=False)
def table(number: int, megabytes: int) -> np.ndarray:
    """Return a large array."""
    return np.full(megabytes * 10**6 // 8, float(number))


@task
def size(values: np.ndarray, number: int) -> int:
    """Return the size of a large array, and fail if it is another one."""
    if values[0] != number:
        raise ValueError(f"array {number} is that of another task")
    return int(values.nbytes)


@flow(task_runner=runner)
def arrays(count: int = 16, megabytes: int = 80) -> int:
    """Return the size of all arrays together, whose tasks have Prefect's default cache policy."""
    numbers = list(range(count))
    tables = table.map(numbers, megabytes=unmapped(megabytes))
    for each in tables:
        each.wait()
    return sum(size.map(tables, numbers).result())
