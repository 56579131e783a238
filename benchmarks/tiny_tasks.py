"""The flow of `benchmarks.tasks`, in a module that Dask workers import."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow, task
from prefect.context import FlowRunContext


@task
def increment(number: int) -> int:
    """Return the next number."""
    return number + 1


@flow
def increments(count: int) -> tuple[float, int]:
    """Run that many tasks, and return how many seconds that took and how many bytes went to the scheduler for it."""
    started = time.perf_counter()
    futures = increment.map(list(range(count)))
    total = sum(futures.result())
    seconds = time.perf_counter() - started
    if total != count * (count + 1) // 2:
        raise ValueError(f"the sum of {count} tasks is {total}")
    context = FlowRunContext.get()
    runner: Any = context.task_runner if context is not None else None
    return seconds, runner.client.scheduler_comm.byte_count
