"""The flow of the end-to-end tests: counts primes in parts, each a task of about a second."""

from typing import Annotated

from prefect import flow, get_run_logger, task
from pydantic import Field

from ephemeral_dask import ephemeral_dask


@task
def count(start: int, size: int) -> int:
    """Count the primes from `start` on among `size` numbers, by trial division."""
    numbers = range(max(start, 2), start + size)
    return sum(all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in numbers)


@flow(name="primes", task_runner=ephemeral_dask(maximum=4, worker_cpu="200m", worker_memory="768Mi"))
def primes(parts: Annotated[int, Field(ge=2, le=1000)] = 60, size: int = 20_000) -> int:
    """Count the primes below parts * size."""
    counts = count.map([part * size for part in range(parts)], size=size)
    total = sum(counts.result())
    get_run_logger().info("There are %d primes below %d.", total, parts * size)
    return total
