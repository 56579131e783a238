"""The operator's idle check against a real scheduler, with a clock that is minutes off."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import dask
import distributed
import httpx
import pytest
from dask_kubernetes.operator.controller import controller

from ephemeral_dask import upstream
from ops import idle_time
from ops import operator as _operator  # noqa: F401  it installs the check

LOG = logging.getLogger(__name__)
IDLE_TIMEOUT = 60


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the names of the clusters that the operator deletes."""
    names: list[str] = []

    async def get(name: str, **_: Any) -> Any:
        async def delete() -> None:
            names.append(name)

        return SimpleNamespace(delete=delete)

    monkeypatch.setattr(controller.DaskCluster, "get", get)
    return names


def beside_an_idle_scheduler(check: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> float:
    """Check while a scheduler is idle, and return since when it says that it is."""

    async def run() -> float:
        with dask.config.set({"distributed.scheduler.http.routes": list(upstream.HTTP_ROUTES)}):
            async with distributed.Scheduler(port=0, dashboard_address="127.0.0.1:0") as scheduler:
                send = httpx.AsyncClient.get

                async def get(client: httpx.AsyncClient, url: str) -> httpx.Response:
                    port = scheduler.services["dashboard"].port
                    return await send(client, url.replace("etl-scheduler.flows:8787", f"127.0.0.1:{port}"))

                monkeypatch.setattr(httpx.AsyncClient, "get", get)
                scheduler.check_idle()
                scheduler.check_idle()
                await check()
                return float(scheduler.idle_since or 0)

    return asyncio.run(run())


def shutdown_by_a_clock(
    ahead: float, idle_timeout: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Awaitable[None]]:
    """Return the operator's check of an idle cluster, by a clock that is ahead by some seconds."""

    async def check() -> None:
        clock = SimpleNamespace(time=lambda: time.time() + ahead)
        monkeypatch.setattr(controller, "time", clock)
        monkeypatch.setattr(idle_time, "time", clock)
        await controller.daskcluster_autoshutdown(
            spec={"idleTimeout": idle_timeout}, name="etl", namespace="flows", logger=LOG
        )

    return check


@pytest.mark.parametrize("ahead", [-600, 0, 600])
def test_a_clock_that_is_ten_minutes_off_does_not_delete_a_cluster_that_has_just_become_idle(
    ahead: float, deleted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = shutdown_by_a_clock(ahead, IDLE_TIMEOUT, monkeypatch)
    assert time.time() - beside_an_idle_scheduler(check, monkeypatch) < IDLE_TIMEOUT
    assert deleted == []


@pytest.mark.parametrize("ahead", [-600, 600])
def test_a_cluster_that_has_been_idle_for_too_long_is_deleted_whatever_the_clock_says(
    ahead: float, deleted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = shutdown_by_a_clock(ahead, -5, monkeypatch)
    beside_an_idle_scheduler(check, monkeypatch)
    assert deleted == ["etl"]


def test_a_scheduler_with_tasks_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://etl-scheduler.flows:8787/api/v1/check_idle"
        return httpx.Response(200, json={"idle_since": None})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(idle_time, "httpx", SimpleNamespace(AsyncClient=lambda **_: client))
    assert asyncio.run(idle_time.idle_since("etl-scheduler", "flows", LOG)) == 0.0
