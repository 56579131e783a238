"""The flow with which `make verify` tests a stack: a few tasks on a Dask cluster of one worker."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from ephemeral_dask.contract import verification
from ephemeral_dask.runner import ephemeral_dask


@task(persist_result=False, cache_policy=NO_CACHE)
def square(number: int) -> int:
    """Return the square of a number."""
    return number * number


# Nothing of a verification is to stay, so its results are not stored wherever those of other flows are.
@flow(name=verification.FLOW, task_runner=ephemeral_dask(minimum=1, maximum=1), persist_result=False)
def verify_stack() -> None:
    """Compute squares on Dask workers.

    Raises:
        RuntimeError: the workers have returned other numbers.

    """
    total = sum(square.map(range(verification.NUMBERS)).result())
    if total != verification.RESULT:
        raise RuntimeError(f"The Dask workers computed {total} instead of {verification.RESULT}")
