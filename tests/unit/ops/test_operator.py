from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import kopf
import kr8s
import pytest
from kopf._core.intents import registries

from ops import operator

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def cluster(age: float, *, phase: str = "", going: bool = False) -> dict[str, Any]:
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": f"c{age:.0f}", "creationTimestamp": created}
    return {
        "metadata": metadata | ({"deletionTimestamp": created} if going else {}),
        "status": {"phase": phase} if phase else {},
    }


def unattended(*clusters: dict[str, Any], started: datetime = LONG_AGO) -> list[str]:
    return operator.unattended(clusters, now=NOW, started=started)


def test_a_cluster_that_no_handler_has_marked_in_time_is_unattended() -> None:
    assert unattended(cluster(60)) == ["c60"]


def test_a_new_a_marked_and_a_leaving_cluster_are_not_unattended() -> None:
    assert unattended(cluster(5), cluster(60, phase="Pending"), cluster(70, going=True)) == []


def test_an_operator_that_has_just_started_gets_time_for_what_waited_for_it() -> None:
    assert unattended(cluster(300), started=NOW - timedelta(seconds=10)) == []
    assert unattended(cluster(300), started=NOW - timedelta(seconds=40)) == ["c300"]


def serve(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    async def served() -> set[str]:
        return set(kinds)

    monkeypatch.setattr(operator, "_served", served)


def test_the_start_needs_no_look_at_namespaces_and_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, *operator.KINDS)
    settings = kopf.OperatorSettings()
    asyncio.run(operator.narrow(settings=settings))
    assert settings.scanning.disabled
    assert settings.peering.standalone


def test_the_operator_waits_for_definitions_that_are_missing_and_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, "DaskCluster", "DaskWorkerGroup", "DaskAutoscaler")
    with pytest.raises(kopf.TemporaryError, match="DaskJob"):
        asyncio.run(operator.narrow(settings=kopf.OperatorSettings()))


def test_a_group_that_kubernetes_does_not_know_counts_as_no_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def call_api(self, *_: Any, **__: Any) -> Any:
            raise kr8s.ServerError("404 page not found", response=httpx.Response(404))

    async def api() -> Api:
        return Api()

    monkeypatch.setattr("kr8s.asyncio.api", api)
    assert asyncio.run(operator._served()) == set()


def test_the_upstream_operators_handlers_and_ours_are_registered() -> None:
    registry = registries.get_default_registry()
    activities = {handler.id for handler in registry._activities.get_all_handlers()}
    assert {"narrow", "attends"} <= activities
    watched = {str(handler.fn.__name__) for handler in registry._changing.get_all_handlers()}
    assert "daskcluster_create_components" in watched
