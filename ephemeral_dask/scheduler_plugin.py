"""What this project lets the run's Dask scheduler execute, sent to it by value.

By reference the scheduler would import this package, and Prefect with it: two seconds in which it serves nobody.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import cloudpickle
from distributed.diagnostics.plugin import SchedulerPlugin

cloudpickle.register_pickle_by_value(sys.modules[__name__])

_LEDGER: Final = "ephemeral-dask-ledger"


class Ledger(SchedulerPlugin):
    """Counts what the run's summary tells: workers over time, tasks, and tasks that had to be run once more."""

    def __init__(self) -> None:
        self.peak = 0
        self.tasks = 0
        self.again = 0
        self._seconds = 0.0
        self._since: dict[str, float] = {}
        self._lost: set[Any] = set()

    async def start(self, scheduler: Any) -> None:
        for address in scheduler.workers:
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: Any, worker: str) -> None:  # noqa: ARG002 - given by name
        self._since.setdefault(worker, time.monotonic())
        self.peak = max(self.peak, len(self._since))

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:  # noqa: ARG002 - as above
        joined = self._since.pop(worker, None)
        if joined is not None:
            self._seconds += time.monotonic() - joined

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        if start == "processing" and finish == "memory":
            self.tasks += 1
        elif start == "memory" and finish == "released":
            self._lost.add(key)
        elif start == "released" and key in self._lost:
            # Its result was there and is wanted again: the only worker that had it is gone.
            self.again += finish == "waiting"
            self._lost.discard(key)

    def read(self) -> dict[str, float]:
        now = time.monotonic()
        living = sum(now - joined for joined in self._since.values())
        return {
            "peak": self.peak,
            "tasks": self.tasks,
            "again": self.again,
            "worker_seconds": self._seconds + living,
        }


def attend(dask_scheduler: Any) -> dict[str, float]:
    """Begin the idle time anew, for the flow pod lives whatever it is doing without a task; return the counts."""
    dask_scheduler.idle_since = None
    ledger = dask_scheduler.plugins.get(_LEDGER)
    found: dict[str, float] = ledger.read() if ledger else {}
    return found


async def install(comm: Any) -> None:
    """Let the scheduler keep a `Ledger` from now on; once only, however often it is asked."""
    await comm.register_scheduler_plugin(plugin=cloudpickle.dumps(Ledger()), name=_LEDGER, idempotent=True)


async def call(comm: Any, function: Callable[..., Any]) -> Any:
    """Execute a function of this module in the scheduler and return its answer.

    Args:
        comm: a connection to the scheduler.
        function: takes the scheduler as `dask_scheduler`.

    Raises:
        OSError: the scheduler does not answer.
        RuntimeError: the function failed there.

    """
    answer = await comm.run_function(function=cloudpickle.dumps(function))
    if answer["status"] != "OK":
        raise RuntimeError(f"{function.__name__} failed in the scheduler: {answer.get('text', 'no reason given')}")
    return answer["result"]
