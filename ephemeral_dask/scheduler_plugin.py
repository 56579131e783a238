"""Code of this project that runs in the run's Dask scheduler, sent to it by value.

By reference the scheduler would import this package, and Prefect with it: it would not answer for two seconds.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import cloudpickle
from distributed.diagnostics.plugin import SchedulerPlugin

from ephemeral_dask.contract import ports

cloudpickle.register_pickle_by_value(sys.modules[__name__])

_NAME: Final = "ephemeral-dask-usage"
_METRICS: Final = "ephemeral-dask-metrics"

DEATHS: Final = "ephemeral-dask-worker-deaths"
"""The topic with a message for each worker that was lost and not retired."""

_KEYS: Final = 100
"""Tasks that such a message names at most."""


class UsagePlugin(SchedulerPlugin):
    """Counts what the run's summary shows: workers over time, tasks, and tasks that had to run again."""

    def __init__(self) -> None:
        self.peak = 0
        self.tasks = 0
        self.again = 0
        self._seconds = 0.0
        self._since: dict[str, float] = {}
        self._workers: dict[str, Any] = {}
        self._lost: set[Any] = set()

    async def start(self, scheduler: Any) -> None:
        for address in scheduler.workers:
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self._workers[worker] = scheduler.workers.get(worker)
        self._since.setdefault(worker, time.monotonic())
        self.peak = max(self.peak, len(self._since))

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        self._report_death(scheduler, worker, self._workers.pop(worker, None))
        joined = self._since.pop(worker, None)
        if joined is not None:
            self._seconds += time.monotonic() - joined

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        if start == "processing" and finish == "memory":
            self.tasks += 1
        elif start == "memory" and finish == "released":
            self._lost.add(key)
        elif start == "released" and key in self._lost:
            # A result that existed is needed again: the only worker that held it is gone.
            self.again += finish == "waiting"
            self._lost.discard(key)

    def _report_death(self, scheduler: Any, address: str, worker: Any) -> None:
        # What the scheduler itself has just written about it; a plugin does not learn whether it was expected.
        events = [event for _, event in scheduler.get_events(address) if event.get("action") == "remove-worker"]
        if not events or events[-1].get("expected") or worker is None:
            return
        message = {
            "address": address,
            "name": str(worker.name),
            "memory": worker.metrics.get("memory", 0),
            "limit": worker.memory_limit,
            "tasks": [str(key) for key in list(events[-1].get("processing-tasks", ()))[:_KEYS]],
        }
        scheduler.log_event(DEATHS, message)

    def read(self) -> dict[str, float]:
        now = time.monotonic()
        living = sum(now - joined for joined in self._since.values())
        return {
            "peak": self.peak,
            "tasks": self.tasks,
            "again": self.again,
            "worker_seconds": self._seconds + living,
        }


class MetricsServer(SchedulerPlugin):
    """Serves the metrics on a port of their own: users of the HTTP port can retire workers.

    Args:
        port: TCP port, on all addresses of the pod.

    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: Any = None

    async def start(self, scheduler: Any) -> None:
        from distributed.http.utils import get_handlers  # noqa: PLC0415  the scheduler has it, a flow does not need it
        from tornado.web import Application  # noqa: PLC0415  likewise

        handlers = get_handlers(server=scheduler, modules=["distributed.http.scheduler.prometheus"])
        try:
            self._server = Application(handlers).listen(self.port)
        except OSError as error:
            # A run is worth more than its metrics.
            logging.getLogger("distributed.scheduler").warning("No metrics on port %s: %s", self.port, error)

    async def close(self) -> None:
        if self._server is not None:
            self._server.stop()


def touch_idle_timer(dask_scheduler: Any) -> dict[str, float]:
    """Reset the scheduler's idle timer, because the flow pod is alive, and return the counters."""
    dask_scheduler.idle_since = None
    plugin = dask_scheduler.plugins.get(_NAME)
    counters: dict[str, float] = plugin.read() if plugin else {}
    return counters


async def install(comm: Any) -> None:
    """Let the scheduler keep both plugins from now on. Calling it again has no effect."""
    for name, plugin in ((_NAME, UsagePlugin()), (_METRICS, MetricsServer(ports.SCHEDULER_METRICS))):
        await comm.register_scheduler_plugin(plugin=cloudpickle.dumps(plugin), name=name, idempotent=True)


async def call(comm: Any, function: Callable[..., Any]) -> Any:
    """Run a function of this module in the scheduler and return its result.

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
