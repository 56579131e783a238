"""Since when a scheduler is idle, in the time of the operator that asks.

The operator compares the scheduler's answer with its own clock. On a node whose clock is ahead by `dask.idleTimeout` it
would delete the cluster of a run between two tasks.
"""

from __future__ import annotations

import logging
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
from dask_kubernetes.operator.controller import controller

from ephemeral_dask.contract import ports

_TIMEOUT: Final = 10.0

Log = logging.Logger | logging.LoggerAdapter[Any]


async def idle_since(scheduler_service_name: str, namespace: str | None, logger: Log) -> float:
    """Return since when a scheduler has had no task, in seconds since the epoch by this clock; 0 if it has one.

    It takes the place of `check_scheduler_idle` of dask-kubernetes 2026.3.0, and has its arguments. The scheduler's
    time is that of its response, to the second.

    Raises:
        httpx.HTTPError: the scheduler does not answer; the operator asks again 5 s later.

    """
    url = f"http://{scheduler_service_name}.{namespace}:{ports.SCHEDULER_HTTP}/api/v1/check_idle"
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT) as client:
        response = (await client.get(url)).raise_for_status()
    since = response.json()["idle_since"]
    if not since:
        return 0.0
    ahead = time.time() - parsedate_to_datetime(response.headers["date"]).timestamp()
    logger.debug("Scheduler idle since: %s; this clock is ahead by %.0f s", since, ahead)
    return float(since) + ahead


def install() -> None:
    """Let the operator ask in this way."""
    controller.check_scheduler_idle = idle_since
