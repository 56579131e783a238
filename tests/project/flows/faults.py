"""Flows that the tests of faults break: one computes for a while, others take more memory or disk than there is."""

import tempfile
import time

from prefect import flow, task
from prefect.logging.handlers import APILogHandler

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


@flow
def filling(mebibytes: int = 3000) -> int:
    """Fill more memory than the pod of the flow has, once the first lines of the log have been sent."""
    APILogHandler().flush()
    return fill.fn(mebibytes)


@task
def hoard(mebibytes: int) -> int:
    """Write a temporary file of that size, with a name, and keep it for longer than the kubelet takes to count it."""
    with tempfile.NamedTemporaryFile() as file:  # the kubelet does not count a file without a name
        for _ in range(mebibytes):
            file.write(b"x" * 2**20)
        file.flush()
        time.sleep(300)
    return mebibytes


@flow(task_runner=ephemeral_dask(minimum=1, maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def hoarding(mebibytes: int = 300) -> int:
    """Fill more of the disk than a worker may."""
    return hoard.submit(mebibytes).result()
