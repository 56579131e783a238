"""Leases of flow runs while the Prefect server is away."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.concurrency import _leases
from prefect.context import FlowRunContext

from ephemeral_dask import leases, prefect_plugin

LEASE = uuid4()


def answer(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://prefect/renew")
    return httpx.HTTPStatusError("refused", request=request, response=httpx.Response(status, request=request))


class Clock(threading.Event):
    """An event on which each wait takes no time, and is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()

    def monotonic(self) -> float:
        return sum(self.waits)


@dataclass
class Client:
    """A Prefect client that fails with each of the errors in turn, and ends the renewal after that."""

    errors: list[Exception | None]
    stop: threading.Event
    durations: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def renew_concurrency_lease(self, *, lease_id: UUID, lease_duration: float) -> None:
        assert lease_id == LEASE
        self.durations.append(lease_duration)
        error = self.errors.pop(0)
        if not self.errors:
            self.stop.set()
        if error:
            raise error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    return clock


def test_a_lease_is_renewed_through_an_outage_that_is_shorter_than_what_it_lasts(clock: Clock) -> None:
    away: list[Exception | None] = [httpx.ConnectError("refused"), answer(503), httpx.ReadTimeout("slow")]
    client = Client([None, *away * 20, None, None], clock)
    leases.renew(client, LEASE, clock)  # type: ignore[arg-type]  what the function uses of it
    assert set(client.durations) == {leases.DURATION}
    assert clock.waits == [leases.INTERVAL, *[leases.RETRY] * 60, leases.INTERVAL, leases.INTERVAL]


def test_an_outage_of_more_than_twelve_minutes_at_the_worst_moment_is_survived() -> None:
    assert leases.DURATION - leases.INTERVAL >= 12 * 60


def test_a_lease_that_must_have_expired_is_given_up(clock: Clock) -> None:
    client = Client([None, *[httpx.ConnectError("refused")] * 1000], clock)
    with pytest.raises(httpx.ConnectError):
        leases.renew(client, LEASE, clock)  # type: ignore[arg-type]  as above


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_lease_that_the_server_refuses_is_given_up_at_once(clock: Clock, status: int) -> None:
    client = Client([answer(status), None], clock)
    with pytest.raises(httpx.HTTPStatusError):
        leases.renew(client, LEASE, clock)  # type: ignore[arg-type]  as above
    assert not clock.waits


@pytest.fixture
def renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the plugin as a flow's process does."""
    monkeypatch.setattr(_leases, "_lease_renewal_loop", _leases._lease_renewal_loop)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "prefect.engine"])
    prefect_plugin.setup_environment(ctx=None)  # type: ignore[arg-type]  the hook does not use it
    for wait in ("INTERVAL", "RETRY"):
        monkeypatch.setattr(leases, wait, 0)


def _run_of(lease: UUID, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew a lease, in a thread of Prefect, for a flow run that holds `LEASE`."""
    details = SimpleNamespace(deployment_concurrency_lease_id=LEASE)
    context = SimpleNamespace(flow_run=SimpleNamespace(state=SimpleNamespace(state_details=details)))
    monkeypatch.setattr(FlowRunContext, "get", lambda: context)
    for module in ("prefect.client.orchestration", "prefect.concurrency._leases"):
        monkeypatch.setattr(f"{module}.get_client", lambda **_: client)
    monkeypatch.setattr(_leases, "threading", SimpleNamespace(Event=lambda: client.stop, Thread=threading.Thread))
    cancelled: list[bool] = []
    scope: Any = SimpleNamespace(cancel=lambda: cancelled.append(True))
    _, thread = _leases._start_lease_renewal_thread(lease, 300, True, False, scope)
    thread.join(30)
    assert not cancelled


@pytest.mark.usefixtures("renewal")
def test_the_process_of_a_flow_survives_more_attempts_than_prefect_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client([None, *[httpx.ConnectError("refused")] * 10, None], threading.Event())
    _run_of(LEASE, client, monkeypatch)
    assert client.durations == [leases.DURATION] * 12


@pytest.mark.usefixtures("renewal")
def test_a_lease_that_is_not_the_flow_runs_own_is_left_to_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[float] = []

    def once(_: Any, __: UUID, lease_duration: float, stop: threading.Event) -> bool:
        renewed.append(lease_duration)
        stop.set()
        return True

    monkeypatch.setattr(_leases, "_renew_concurrency_lease_with_retries", once)
    _run_of(uuid4(), Client([None], threading.Event()), monkeypatch)
    assert renewed == [300]


def test_prefect_still_gives_a_lease_up_after_three_attempts(clock: Clock) -> None:
    client = Client([httpx.ConnectError("refused")] * 10, clock)
    with pytest.raises(httpx.ConnectError):
        _leases._renew_concurrency_lease_with_retries(
            client,  # type: ignore[arg-type]  as above
            LEASE,
            300,
            clock,
        )
    assert len(client.durations) == 3
    assert clock.monotonic() < 60
