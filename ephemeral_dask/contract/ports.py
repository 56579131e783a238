"""Ports of the Dask pods. The pods listen on them, and network policies open exactly them.

Dask picks worker and nanny ports at random unless they are set; a policy can only name fixed ports.
"""

from __future__ import annotations

from typing import Final

SCHEDULER_COMM: Final = 8786
"""Clients and workers reach the scheduler here. Every client that connects can run code, because Dask
unpickles what it receives."""

SCHEDULER_HTTP: Final = 8787
"""Dashboard, health, and the unauthenticated API by which the operator retires workers."""

WORKER_HTTP: Final = 8788
"""A worker's health and metrics."""

NANNY_COMM: Final = 8789
"""The process that supervises a worker; the scheduler asks it to restart or to close the worker."""

WORKER_COMM: Final = 8790
"""Scheduler and other workers reach a worker here."""

OPERATOR_HTTP: Final = 8080
"""The operator's probe."""

SCHEDULER_METRICS: Final = 8791
"""The scheduler's metrics and nothing else, for namespaces that may scrape them."""

REAPER_HTTP: Final = 8080
"""The reaper's probe and its metrics."""

WORKER_HEALTH: Final = 8080
"""The Prefect worker's probe."""

DASHBOARD_FORWARD: Final = 8787
"""Port of a person's own machine on which `make dashboard` opens a run's dashboard."""
