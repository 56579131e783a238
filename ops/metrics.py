"""What the reaper tells Prometheus: what its checks have seen, and what it asks when it is scraped.

Label values are a few words and the names of work pools, never the name of a run or a Dask cluster: each would stay in
Prometheus as a series of its own.
"""

from __future__ import annotations

from collections import Counter as Numbers
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from ops import causes
from ops.judgement import Bounds
from ops.prefect import FINAL, FlowRun

_LIVE: Final = ("running", "pending", "cancelling", "awaiting_retry")
"""States of a run that has a process or should have one."""

CLUSTERS: Final = ("live", "over", "unhandled")
"""States of a Dask cluster: its run needs it; its run has ended or it is deleted; the operator has ignored it."""

_DASK_PODS: Final = tuple(
    (component, phase) for component in ("scheduler", "worker") for phase in ("pending", "running")
)

_QUEUE_BUCKETS: Final = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds. A flow pod starts in five to twenty where its image is on the node."""

_POOL: Final = ["work_pool"]

# Prometheus needs no second series for the time at which a counter began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations


class Metrics:
    """The metrics of one stack, by work pool where they are about runs.

    Prefect's client brings `prometheus_client` along, and metrics of its own in the default registry, which is not
    this one.
    """

    def __init__(self, pools: Mapping[str, Bounds]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.pools = tuple(pools)
        name = "ephemeral_dask_"
        self._checked = Gauge(
            f"{name}last_check_timestamp_seconds",
            "When the reaper has last compared everything with the Kubernetes API, and runs with the Prefect API.",
            ["api"],
            registry=registry,
        )
        self._runs = Gauge(
            f"{name}flow_runs",
            "Flow runs that have a process or should have one.",
            [*_POOL, "state"],
            registry=registry,
        )
        self._pending = Gauge(
            f"{name}oldest_pending_flow_run_seconds",
            "For how long the oldest Pending flow run has been Pending; 0 if there is none.",
            _POOL,
            registry=registry,
        )
        self._pending_timeout = Gauge(
            f"{name}pending_timeout_seconds", "For how long a flow run may be Pending.", _POOL, registry=registry
        )
        self._crashed = Counter(
            f"{name}flow_runs_crashed",
            "Flow runs that the reaper has found dead and set to Crashed.",
            [*_POOL, "cause"],
            registry=registry,
        )
        self._clusters = Gauge(
            f"{name}clusters", "Dask clusters by what becomes of them.", ["state"], registry=registry
        )
        self._ended = Counter(
            f"{name}flow_runs_ended",
            "Flow runs that have ended, by their final state.",
            [*_POOL, "state"],
            registry=registry,
        )
        self._queue = Histogram(
            f"{name}flow_run_queue_seconds",
            "Time from the scheduled start of a flow run until it was Running.",
            _POOL,
            buckets=_QUEUE_BUCKETS,
            registry=registry,
        )
        self._due = Gauge(
            f"{name}due_flow_runs", "Flow runs that no worker has taken at their time.", _POOL, registry=registry
        )
        self._oldest_due = Gauge(
            f"{name}oldest_due_flow_run_seconds",
            "For how long the first of these runs has been due; 0 if there is none.",
            _POOL,
            registry=registry,
        )
        self._paused = Gauge(
            f"{name}work_pool_paused", "1 for a work pool that is paused, else 0.", _POOL, registry=registry
        )
        self._heartbeat = Gauge(
            f"{name}worker_heartbeat_timestamp_seconds",
            "When a Prefect worker of the work pool has last sent a heartbeat; 0 for never.",
            _POOL,
            registry=registry,
        )
        self._pods = Gauge(
            f"{name}dask_pods",
            "Pods of Dask clusters by component and phase.",
            ["component", "phase"],
            registry=registry,
        )
        self._answered = Gauge(
            f"{name}api_up",
            "1 if an API answered when the reaper was last scraped, else 0.",
            ["api"],
            registry=registry,
        )
        self._start(pools)

    def _start(self, pools: Mapping[str, Bounds]) -> None:
        """Begin every series at 0: Prometheus sees no increase in one that begins with the first event."""
        for pool, bounds in pools.items():
            self._pending_timeout.labels(pool).set(bounds.pending_timeout)
            self._pending.labels(pool)
            self._queue.labels(pool)
            for state in _LIVE:
                self._runs.labels(pool, state)
            for state in FINAL:
                self._ended.labels(pool, state.lower())
            for cause in causes.LABELS:
                self._crashed.labels(pool, cause)
        self.clusters({})

    def checked(self, api: str, when: float) -> None:
        """Record that everything was compared with an API, `kubernetes` or `prefect`, at a time since the epoch."""
        self._checked.labels(api).set(when)

    def live(self, runs: Iterable[FlowRun], now: datetime) -> None:
        """Record the live runs."""
        numbers: Numbers[tuple[str, str]] = Numbers()
        pending = dict.fromkeys(self.pools, 0.0)
        for run in runs:
            numbers[run.pool, "awaiting_retry" if run.type == "SCHEDULED" else run.type.lower()] += 1
            if run.type == "PENDING":
                pending[run.pool] = max(pending.get(run.pool, 0.0), (now - run.since).total_seconds())
        for pool in self.pools:
            self._pending.labels(pool).set(pending[pool])
            for state in _LIVE:
                self._runs.labels(pool, state).set(numbers[pool, state])

    def crashed(self, pool: str, reason: str) -> None:
        """Count a run that was set to Crashed, by the cause in its message."""
        self._crashed.labels(pool, causes.label(reason)).inc()

    def clusters(self, numbers: Mapping[str, int]) -> None:
        """Record the Dask clusters by state, one of `CLUSTERS`."""
        for state in CLUSTERS:
            self._clusters.labels(state).set(numbers.get(state, 0))

    def started(self, run: FlowRun) -> None:
        """Count a run that was Running for the first time."""
        if run.expected is not None and run.started is not None:
            self._queue.labels(run.pool).observe(max(0.0, (run.started - run.expected).total_seconds()))

    def ended(self, run: FlowRun) -> None:
        """Count a run that has ended."""
        self._ended.labels(run.pool, run.type.lower()).inc()

    def due(self, pool: str, number: int, oldest: float) -> None:
        """Record the runs of a pool that are due, and for how many seconds the first one is."""
        self._due.labels(pool).set(number)
        self._oldest_due.labels(pool).set(oldest)

    def pool(self, pool: str, *, paused: bool, heartbeat: datetime | None) -> None:
        """Record whether a pool is paused, and the last heartbeat of its workers."""
        self._paused.labels(pool).set(paused)
        self._heartbeat.labels(pool).set(heartbeat.timestamp() if heartbeat else 0.0)

    def dask_pods(self, numbers: Mapping[tuple[str, str], int]) -> None:
        """Record the pods of Dask clusters by component and phase."""
        for key in _DASK_PODS:
            self._pods.labels(*key).set(numbers.get(key, 0))

    def answered(self, api: str, *, up: bool) -> None:
        """Record whether an API answered; without an answer, what it would have said is unknown and left out."""
        self._answered.labels(api).set(up)
        if up:
            return
        for gauge in {"prefect": (self._due, self._oldest_due, self._paused, self._heartbeat)}.get(api, (self._pods,)):
            gauge.clear()
