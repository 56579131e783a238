"""Flows that the tests of faults break: one that computes for a while, and one that takes more memory than there is."""

import time

from prefect import flow, task

from ephemeral_dask import ephemeral_dask


@task
def step(number: int, seconds: float) -> int:
    """Take a while, and return the number."""
    time.sleep(seconds)
    return number


@task
def add(numbers: list[int]) -> int:
    """Return the sum."""
    return sum(numbers)


@flow(task_runner=ephemeral_dask(minimum=2, maximum=2, worker_cpu="100m", worker_memory="512Mi"))
def steps(count: int = 45, seconds: float = 2) -> int:
    """Return the sum of the numbers below `count`, each of which takes some seconds."""
    return add.submit(step.map(range(count), seconds=seconds)).result()


@task
def fill(mebibytes: int) -> int:
    """Take so much memory, in parts that the kernel really gives."""
    parts = [bytearray(b"x" * 2**20) for _ in range(mebibytes)]
    return len(parts)


@flow(task_runner=ephemeral_dask(minimum=1, maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def greedy(mebibytes: int = 1500) -> int:
    """Fill more memory than a worker has."""
    return fill.submit(mebibytes).result()
