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


def unhandled(*clusters: dict[str, Any], started: datetime = LONG_AGO) -> list[str]:
    return operator.unhandled(clusters, now=NOW, started=started)


def test_a_cluster_without_a_phase_after_the_time_limit_is_unhandled() -> None:
    assert unhandled(cluster(60)) == ["c60"]


def test_new_handled_and_deleted_clusters_are_not_unhandled() -> None:
    assert unhandled(cluster(5), cluster(60, phase="Pending"), cluster(70, going=True)) == []


def test_the_time_limit_of_older_clusters_starts_with_the_operator() -> None:
    assert unhandled(cluster(300), started=NOW - timedelta(seconds=10)) == []
    assert unhandled(cluster(300), started=NOW - timedelta(seconds=40)) == ["c300"]


def serve(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    async def served() -> set[str]:
        return set(kinds)

    monkeypatch.setattr(operator, "_served", served)


def test_the_operator_does_not_scan_namespaces_and_crds(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, *operator.KINDS)
    settings = kopf.OperatorSettings()
    asyncio.run(operator.restrict(settings=settings))
    assert settings.scanning.disabled
    assert settings.peering.standalone


def test_the_operator_waits_for_missing_crds_and_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, "DaskCluster", "DaskWorkerGroup", "DaskAutoscaler")
    with pytest.raises(kopf.TemporaryError, match="DaskJob"):
        asyncio.run(operator.restrict(settings=kopf.OperatorSettings()))


def test_an_unknown_api_group_has_no_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def call_api(self, *_: Any, **__: Any) -> Any:
            raise kr8s.ServerError("404 page not found", response=httpx.Response(404))

    async def api() -> Api:
        return Api()

    monkeypatch.setattr("kr8s.asyncio.api", api)
    assert asyncio.run(operator._served()) == set()


def test_the_handlers_of_dask_kubernetes_and_this_project_are_registered() -> None:
    registry = registries.get_default_registry()
    activities = {handler.id for handler in registry._activities.get_all_handlers()}
    assert {"restrict", "handles"} <= activities
    watched = {str(handler.fn.__name__) for handler in registry._changing.get_all_handlers()}
    assert "daskcluster_create_components" in watched
