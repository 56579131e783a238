"""The client of `get_dask_client`. Where its cluster is lost: tests/engine/test_lost_clusters.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from distributed.security import Security

from ephemeral_dask import clients, raw_client
from ephemeral_dask.certificates import Certificates
from ephemeral_dask.raw_client import RawClient


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Dask's own client is made with."""
    options: dict[str, Any] = {}
    monkeypatch.setattr(clients.Client, "__init__", lambda _self, _address, **values: options.update(values))
    monkeypatch.setattr(clients.Client, "__del__", lambda _self: None)
    return options


def in_a_run(monkeypatch: pytest.MonkeyPatch, security: Security | None) -> None:
    recovery = SimpleNamespace(client=SimpleNamespace(security=security))
    context = SimpleNamespace(task_runner=SimpleNamespace(recovery=recovery))
    monkeypatch.setattr(raw_client.FlowRunContext, "get", lambda: context)


def test_it_connects_with_the_certificate_of_the_runs_own_client(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    security = Certificates.new().security
    in_a_run(monkeypatch, security)
    RawClient("tls://10.0.0.1:8786")
    assert options["security"] is security


def test_what_a_flow_sets_takes_precedence(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    in_a_run(monkeypatch, Certificates.new().security)
    own = Certificates.new().security
    RawClient("tls://10.0.0.1:8786", security=own)
    assert options["security"] is own


def test_outside_a_run_dask_looks_for_one_itself(options: dict[str, Any]) -> None:
    RawClient("tls://10.0.0.1:8786")
    assert "security" not in options
