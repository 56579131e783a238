"""What is special about work queues: priorities that push each other, and the queue that every pool has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.registration.endpoint import Url
from infra.registration.work_queue import WorkQueueArgs, WorkQueueProvider, inputs


def _props(name: str, **fields: Any) -> dict[str, Any]:
    args = WorkQueueArgs(endpoint=Url(url="http://prefect.test/api"), work_pool_name="pool", name=name, **fields)
    return inputs(args, f"project/dev/{name}")


@pytest.fixture
def queue(prefect: Any, engine: Any) -> Callable[..., Any]:
    """Bring up a queue of a pool that has its default queue."""
    prefect.pools["pool"] = {"name": "pool", "default_queue_id": "d"}
    default = {"id": "d", "name": "default", "priority": 1, "is_paused": False, "description": ""}
    prefect.objects.queues["pool", "default"] = {**default, "concurrency_limit": None}

    def up(name: str, **fields: Any) -> Any:
        resource = engine(WorkQueueProvider())
        resource.up(_props(name, **fields))
        return resource

    return up


def _ranks(prefect: Any) -> dict[str, int]:
    return {name: item["priority"] for (_, name), item in prefect.objects.queues.items()}


def test_a_claimed_priority_moves_only_undeclared_queues(queue: Any, prefect: Any) -> None:
    low = queue("low", priority=5)
    for rank in (2, 1, 3, 4):
        queue(f"rank-{rank}", priority=rank)
    assert _ranks(prefect) == {"rank-1": 1, "rank-2": 2, "rank-3": 3, "rank-4": 4, "low": 5, "default": 6}
    low.refresh()
    assert low.diff(_props("low", priority=5)) == []


def test_two_queues_may_swap_their_priorities(queue: Any, prefect: Any) -> None:
    one, two = queue("one", priority=1), queue("two", priority=2)
    one.up(_props("one", priority=2))
    two.up(_props("two", priority=1))
    for resource, props in ((one, _props("one", priority=2)), (two, _props("two", priority=1))):
        resource.refresh()
        assert resource.diff(props) == []
    assert (_ranks(prefect)["two"], _ranks(prefect)["one"]) == (1, 2)


def test_an_undeclared_priority_or_pause_is_not_drift(queue: Any, prefect: Any) -> None:
    resource = queue("fast")
    prefect.objects.queues["pool", "fast"] |= {"priority": 7, "is_paused": True, "last_polled": "now"}
    resource.refresh()
    assert resource.diff(_props("fast")) == []


def test_an_update_sends_only_the_changed_field(queue: Any, prefect: Any) -> None:
    resource = queue("fast", concurrency_limit=2, is_paused=True)
    prefect.forget_requests()
    resource.up(_props("fast", is_paused=True))
    assert [(method, body) for method, _, body in prefect.writes] == [("PATCH", {"concurrency_limit": None})]


def test_the_owner_is_not_part_of_the_description(queue: Any, prefect: Any) -> None:
    resource = queue("fast", description="For what cannot wait.")
    live = prefect.objects.queues["pool", "fast"]
    assert live["description"] == "For what cannot wait.\n\nephemeral-dask/owner: project/dev"
    resource.refresh()
    assert resource.state["description"] == "For what cannot wait."


def test_a_destroy_resets_the_default_queue(queue: Any, prefect: Any, new_process: Callable[[], None]) -> None:
    resource = queue("default", concurrency_limit=2, is_paused=True)
    new_process()
    resource.destroy()
    live = prefect.objects.queues["pool", "default"]
    assert (live["description"], live["concurrency_limit"], live["is_paused"]) == ("", None, False)


def test_a_queue_of_a_deleted_pool_is_deleted(queue: Any, prefect: Any, new_process: Callable[[], None]) -> None:
    resource = queue("fast")
    prefect.pools.clear()
    prefect.objects.queues.clear()
    new_process()
    resource.destroy()
