"""The deployment cache saves requests and never returns a wrong deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.registration.deployment_cache import FEW, FRESH, MANY, DeploymentCache


@dataclass
class Server:
    deployments: int
    flows: int = 2
    asked: list[str] = field(default_factory=list)
    counts_more: int = 0

    def post(self, path: str, _body: Any, **_: Any) -> Any:
        self.asked.append(path)
        _, kind, what = path.split("/")
        if what == "count":
            return getattr(self, kind) + (self.counts_more if kind == "deployments" else 0)
        if kind == "flows":
            return [{"id": str(number), "name": f"flow-{number}"} for number in range(self.flows)]
        return [{"name": f"d{number}", "flow_id": str(number % self.flows)} for number in range(self.deployments)]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def filled_cache(server: Server, clock: Clock | None = None) -> DeploymentCache:
    cache = DeploymentCache(server, clock or Clock())
    for _ in range(FEW):
        assert look(cache) is None
    assert server.asked == ["/deployments/count"]
    server.asked.clear()
    return cache


def look(cache: DeploymentCache, flow: str = "flow-0", name: str = "d0") -> Any:
    return cache.get(flow, name, operation="look", deadline=1)


def test_after_a_few_lookups_all_others_share_one_list() -> None:
    server = Server(deployments=60)
    cache = filled_cache(server)
    assert look(cache)[0]["name"] == "d0"
    assert look(cache, "flow-1", "d1")[0]["name"] == "d1"
    assert len(server.asked) == 4


def test_on_an_empty_server_one_count_answers_all_lookups_for_a_while() -> None:
    server, clock = Server(deployments=0), Clock()
    cache = DeploymentCache(server, clock)
    assert [look(cache) for _ in range(9)] == [(None,)] * 9
    assert server.asked == ["/deployments/count"]
    server.deployments, clock.now = 1, FRESH
    assert look(cache)[0]


def test_a_written_deployment_is_read_from_an_empty_server_again() -> None:
    cache = DeploymentCache(Server(deployments=0), Clock())
    assert look(cache) == (None,)
    cache.invalidate("flow-0", "d0")
    assert look(cache) is None


def test_the_flow_distinguishes_deployments_with_the_same_name() -> None:
    cache = filled_cache(Server(deployments=60))
    assert look(cache, "flow-1", "d0") == (None,)
    assert look(cache, "flow-9", "d0") == (None,)


def test_a_list_that_is_too_old_is_read_again() -> None:
    server, clock = Server(deployments=1), Clock()
    cache = filled_cache(server, clock)
    assert look(cache)[0]
    server.deployments = 0
    clock.now = FRESH
    assert look(cache) == (None,)


def test_a_written_deployment_is_read_from_the_server_again() -> None:
    cache = filled_cache(Server(deployments=60))
    cache.invalidate("flow-0", "d0")
    assert look(cache) is None
    assert look(cache, "flow-0", "d2")[0]["name"] == "d2"


@pytest.mark.parametrize("server", [Server(deployments=MANY), Server(deployments=1, flows=MANY)])
def test_a_server_with_too_many_deployments_is_never_listed(server: Server) -> None:
    cache = filled_cache(server)
    assert [look(cache) for _ in range(9)] == [None] * 9
    assert [path for path in server.asked if path.endswith("deployments/filter")] == []


def test_an_incomplete_list_is_not_used() -> None:
    assert look(filled_cache(Server(deployments=3, counts_more=1))) is None
