"""Many looks at deployments cost a few requests, and no look is ever wrong for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from infra.registration.api import PrefectApi
from infra.registration.deployment_cache import FEW, FRESH, MANY, Listing


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


def listing(server: Server, clock: Clock | None = None) -> Listing:
    found = Listing(cast("PrefectApi", server), clock or Clock())
    for _ in range(FEW):
        assert look(found) is None
    assert server.asked == ["/deployments/count"]
    server.asked.clear()
    return found


def look(one: Listing, flow: str = "flow-0", name: str = "d0") -> Any:
    return one.look(flow, name, operation="look", deadline=1)


def test_after_a_few_looks_all_others_share_one_listing() -> None:
    server = Server(deployments=60)
    found = listing(server)
    assert look(found)[0]["name"] == "d0"
    assert look(found, "flow-1", "d1")[0]["name"] == "d1"
    assert len(server.asked) == 4


def test_on_a_server_with_none_one_count_speaks_for_all_looks_as_long_as_it_is_fresh() -> None:
    server, clock = Server(deployments=0), Clock()
    found = Listing(cast("PrefectApi", server), clock)
    assert [look(found) for _ in range(9)] == [(None,)] * 9
    assert server.asked == ["/deployments/count"]
    server.deployments, clock.now = 1, FRESH
    assert look(found)[0]


def test_what_this_process_has_written_to_a_server_with_none_is_asked_of_the_server() -> None:
    found = Listing(cast("PrefectApi", Server(deployments=0)), Clock())
    assert look(found) == (None,)
    found.written("flow-0", "d0")
    assert look(found) is None


def test_of_the_same_name_the_flow_decides_and_what_is_not_there_is_known_not_to_be() -> None:
    found = listing(Server(deployments=60))
    assert look(found, "flow-1", "d0") == (None,)
    assert look(found, "flow-9", "d0") == (None,)


def test_a_listing_is_taken_anew_when_it_is_no_longer_fresh() -> None:
    server, clock = Server(deployments=1), Clock()
    found = listing(server, clock)
    assert look(found)[0]
    server.deployments = 0
    clock.now = FRESH
    assert look(found) == (None,)


def test_what_this_process_has_written_is_asked_of_the_server() -> None:
    found = listing(Server(deployments=60))
    found.written("flow-0", "d0")
    assert look(found) is None
    assert look(found, "flow-0", "d2")[0]["name"] == "d2"


@pytest.mark.parametrize("server", [Server(deployments=MANY), Server(deployments=1, flows=MANY)])
def test_a_server_with_many_is_never_listed(server: Server) -> None:
    found = listing(server)
    assert [look(found) for _ in range(9)] == [None] * 9
    assert [path for path in server.asked if path.endswith("deployments/filter")] == []


def test_a_listing_that_misses_some_is_not_believed() -> None:
    assert look(listing(Server(deployments=3, counts_more=1))) is None
