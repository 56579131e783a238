"""The page that Prometheus reads: what the checks have recorded, and what is asked only because it is read.

Requests for it are made when Prometheus comes, so a stack without Prometheus makes none, and a check never waits for
them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import httpx
from prometheus_client import generate_latest

from ops.fields import MALFORMED, mapping, text
from ops.kubernetes import DASK_PODS, ChangedError, Kubernetes
from ops.metrics import Metrics
from ops.prefect import FlowRun, Prefect

FRESH: Final = 10.0
"""Seconds for which the answers are used again: two Prometheus servers read the page in turn."""

_OVERLAP: Final = timedelta(seconds=60)
"""A run can be stored after its time: what is younger than this is asked for again, and counted once."""

_LONGEST: Final = timedelta(hours=1)
"""What is counted after a pause of Prometheus."""

_log = logging.getLogger("ops.reaper")


class Exposition:
    """Answers a scrape.

    Args:
        metrics: what the checks record to.
        kubernetes: requests in the namespace of runs.
        prefect: requests that no check makes at the same time.

    """

    def __init__(
        self,
        metrics: Metrics,
        kubernetes: Kubernetes,
        prefect: Prefect,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._kubernetes = kubernetes
        self._prefect = prefect
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._since: datetime | None = None
        self._counted: dict[tuple[str, datetime], datetime] = {}

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH:
                self._ask("kubernetes", self._dask_pods)
                self._ask("prefect", self._runs)
                self._asked = self._clock()
            return generate_latest(self._metrics.registry)

    def _ask(self, api: str, question: Callable[[], None]) -> None:
        try:
            question()
        except (httpx.HTTPError, ChangedError, *MALFORMED) as error:
            _log.info("Metrics of the %s API are left out: %r", api, error)
            self._metrics.answered(api, up=False)
        else:
            self._metrics.answered(api, up=True)

    def _dask_pods(self) -> None:
        numbers: Counter[tuple[str, str]] = Counter()
        for pod in self._kubernetes.list_pods(DASK_PODS):
            component = text(mapping(mapping(pod, "metadata"), "labels"), "dask.org/component")
            numbers[component, text(mapping(pod, "status"), "phase").lower()] += 1
        self._metrics.dask_pods(numbers)

    def _runs(self) -> None:
        pools = self._metrics.pools
        for name in pools:
            pool = self._prefect.work_pool(name)
            self._metrics.pool(name, paused=pool.paused, heartbeat=pool.heartbeat)
            number, oldest = self._prefect.due(name)
            self._metrics.due(name, number, (self._prefect.now - oldest).total_seconds() if oldest else 0.0)
        now = self._prefect.now
        after = max((self._since or now) - _OVERLAP, now - _LONGEST)
        started = list(self._prefect.runs_after(pools, "start_time", after))
        ended = list(self._prefect.runs_after(pools, "end_time", after))
        # Both lists are complete here: what is counted and then asked for again would be counted twice.
        for run in started:
            self._count(run, run.started, self._metrics.started)
        for run in ended:
            self._count(run, run.ended, self._metrics.ended)
        self._counted = {key: when for key, when in self._counted.items() if when >= after}
        self._since = now

    def _count(self, run: FlowRun, when: datetime | None, count: Callable[[FlowRun], None]) -> None:
        if when is None:
            return
        key = (f"{run.id} {count.__name__}", when)
        if key not in self._counted:
            self._counted[key] = when
            # A reaper that ended has counted what was there before the first scrape of this one.
            if self._since is not None:
                count(run)
