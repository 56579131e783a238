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
from tornado.ioloop import PeriodicCallback

from ephemeral_dask.contract import ports
from ephemeral_dask.measurements import Measurements, install_on_workers, spilled_bytes

cloudpickle.register_pickle_by_value(sys.modules[__name__])

_NAME: Final = "ephemeral-dask-usage"
_METRICS: Final = "ephemeral-dask-metrics"

DEATHS: Final = "ephemeral-dask-worker-deaths"
"""The topic with a message for each worker that was lost and not retired."""

_KEYS: Final = 100
"""Tasks that such a message names at most."""

_INTERVAL: Final = 1000
"""Milliseconds between two looks at the workers. A thousand of them take about two milliseconds."""


class UsagePlugin(SchedulerPlugin):
    """Counts what the run's summary shows: workers over time, what they use, tasks, and tasks that had to run again."""

    def __init__(self) -> None:
        self.peak = 0
        self.peak_after = 0.0
        self.tasks = 0
        self.again = 0
        self.deaths = 0
        self._seconds = 0.0
        self._began = time.monotonic()
        self._since: dict[str, float] = {}
        self._workers: dict[str, Any] = {}
        self._lost: set[Any] = set()
        self._measurements = Measurements()
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._began = time.monotonic()
        for address in scheduler.workers:
            self.add_worker(scheduler, address)
        sampling = PeriodicCallback(lambda: self._measurements.sample(scheduler), _INTERVAL)
        scheduler.periodic_callbacks[_NAME] = sampling  # those are stopped with it
        sampling.start()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self._workers[worker] = scheduler.workers.get(worker)
        self._measurements.joined(worker)
        self._since.setdefault(worker, time.monotonic())
        if len(self._since) > self.peak:
            self.peak, self.peak_after = len(self._since), time.monotonic() - self._began

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        state = self._workers.pop(worker, None)
        self._measurements.left(worker, state)
        self._report_death(scheduler, worker, state)
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
        self.deaths += 1
        message = {
            "address": address,
            "name": str(worker.name),
            "memory": worker.metrics.get("memory", 0),
            "limit": worker.memory_limit,
            "tasks": [str(key) for key in list(events[-1].get("processing-tasks", ()))[:_KEYS]],
        }
        scheduler.log_event(DEATHS, message)

    def read(self) -> dict[str, Any]:
        """Return the counters, as `ephemeral_dask.usage` reads them."""
        now = time.monotonic()
        living = sum(now - joined for joined in self._since.values())
        self._measurements.sample(self._scheduler)
        return {
            "peak": self.peak,
            "peak_after": self.peak_after,
            "tasks": self.tasks,
            "again": self.again,
            "deaths": self.deaths,
            "spilled": spilled_bytes(self._scheduler),
            "worker_seconds": self._seconds + living,
            "groups": self._measurements.read(),
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


def touch_idle_timer(dask_scheduler: Any) -> dict[str, Any]:
    """Reset the scheduler's idle timer, because the flow pod is alive, and return the counters."""
    dask_scheduler.idle_since = None
    return counters(dask_scheduler)


def counters(scheduler: Any) -> dict[str, Any]:
    """Return the counters of a scheduler; none before the plugin is there."""
    plugin = scheduler.plugins.get(_NAME)
    values: dict[str, Any] = plugin.read() if plugin else {}
    return values


async def measure(comm: Any) -> None:
    """Let the scheduler count and measure from now on. Calling it again has no effect."""
    await _register(comm, _NAME, UsagePlugin())
    await install_on_workers(comm)


async def install(comm: Any) -> None:
    """Let the scheduler of a cluster in Kubernetes serve its metrics too. Calling it again has no effect."""
    await _register(comm, _METRICS, MetricsServer(ports.SCHEDULER_METRICS))
    await measure(comm)


async def _register(comm: Any, name: str, plugin: SchedulerPlugin) -> None:
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
