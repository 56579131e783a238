"""Variables, limits, work queues and automations on the real engine, against a real Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

TRIGGER = {
    "type": "event",
    "expect": ["prefect.flow-run.Completed", "prefect.flow-run.Failed"],
    "match": {"prefect.resource.id": "prefect.flow-run.*"},
    "match_related": [{"prefect.resource.role": "deployment"}, {"prefect.resource.name": ["a", "b"]}],
    "posture": "Proactive",
    "within": 90,
}
ACTIONS = [{"type": "change-flow-run-state", "state": "CRASHED", "message": "Silent."}, {"type": "do-nothing"}]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of object.

    Attributes:
        name: of the resource's class.
        live: reads an object by its name past the proxy, or gives None.
        at: where it is written and deleted.
        fields: what is declared of it.
        change: a field and another value of it.
        edit: what a person does to it outside, and the fields in which that shows.
        created: how it comes to be outside.

    """

    name: str
    live: Callable[[Any, str], Any]
    at: Callable[[Any], str]
    fields: dict[str, Any]
    change: tuple[str, Any]
    edit: tuple[str, dict[str, Any], list[str]]
    created: tuple[str, dict[str, Any]]


KINDS = [
    Kind(
        name="Variable",
        live=lambda prefect, name: prefect.variable(name),
        at=lambda live: f"/variables/{live['id']}",
        fields={"value": {"a": [1, None, 2.5], "b": None}, "tags": ["x"]},
        change=("value", None),
        edit=("PATCH", {"value": "theirs", "tags": []}, ["tags", "value"]),
        created=("/variables/", {"value": 1}),
    ),
    Kind(
        name="GlobalConcurrencyLimit",
        live=lambda prefect, name: prefect.limit(name),
        at=lambda live: f"/v2/concurrency_limits/{live['id']}",
        fields={"limit": 3, "slot_decay_per_second": 0.5},
        change=("limit", 4),
        edit=("PATCH", {"limit": 9, "slot_decay_per_second": 2}, ["limit", "slot_decay_per_second"]),
        created=("/v2/concurrency_limits/", {"limit": 1}),
    ),
    Kind(
        name="WorkQueue",
        live=lambda prefect, name: prefect.queue("pool", name),
        at=lambda live: f"/work_pools/pool/queues/{live['name']}",
        fields={"pool": "pool", "description": "Fast.", "concurrency_limit": 2, "priority": 1},
        change=("concurrency_limit", None),
        edit=("PATCH", {"concurrency_limit": 9, "priority": 5}, ["concurrency_limit", "priority"]),
        created=("/work_pools/pool/queues", {"concurrency_limit": 1}),
    ),
    Kind(
        name="Automation",
        live=lambda prefect, name: prefect.automation(name),
        at=lambda live: f"/automations/{live['id']}",
        fields={"trigger": TRIGGER, "actions": ACTIONS, "description": "Ours.", "tags": ["x"]},
        change=("actions", [{"type": "cancel-flow-run"}]),
        edit=(
            "PUT",
            {
                "name": "one",
                "description": "Theirs.",
                "trigger": {**TRIGGER, "within": 300},
                "actions": ACTIONS,
                "tags": [],
            },
            ["description", "tags", "trigger"],
        ),
        created=("/automations/", {"trigger": TRIGGER, "actions": []}),
    ),
]


def _declare(stack: Any, kinds: list[Kind] = KINDS, resource: str = "", **fields: Any) -> None:
    """Declare an object `one` of each kind, as a resource of the kind's name."""
    for kind in kinds:
        stack.object(kind.name, f"{resource}{kind.name}", **{"name": "one", **kind.fields, **fields})


def _live(prefect: Any, name: str = "one") -> dict[str, Any]:
    return {kind.name: kind.live(prefect, name) for kind in KINDS}


def _ids(prefect: Any, name: str = "one") -> dict[str, str]:
    return {kind: live["id"] for kind, live in _live(prefect, name).items()}


def _declared(stack: Any, kind: Kind) -> dict[str, Any]:
    fields: dict[str, Any] = stack.declared["objects"][kind.name][kind.name]
    return fields


EVERY = {kind.name for kind in KINDS}


@pytest.fixture
def registered(stack: Any) -> Any:
    """Bring up a stack with a pool and one object of each kind."""
    stack.pool()
    _declare(stack)
    stack.up()
    return stack


def test_objects_are_created_once_and_not_touched_again(registered: Any, proxy: Any, prefect: Any) -> None:
    live = _live(prefect)
    assert all(f"prefect:{kind}" in str(registered.export()) for kind in EVERY)
    proxy.forget()
    registered.up("--expect-no-changes")
    assert proxy.requests == []
    registered.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    registered.up("--refresh", "--expect-no-changes")
    assert proxy.requests
    assert proxy.writes == []
    assert _live(prefect) == live


def test_a_change_is_exactly_that_field_in_one_request_each(registered: Any, proxy: Any, prefect: Any) -> None:
    before, ids = _live(prefect), _ids(prefect)
    for kind in KINDS:
        name, value = kind.change
        _declared(registered, kind)[name] = value
    proxy.forget()
    result = registered.up()
    assert {kind.name: result.fields(kind.name) for kind in KINDS} == {kind.name: [kind.change[0]] for kind in KINDS}
    # SQLite refuses a second writer at once, and the same is sent again.
    assert len(set(proxy.writes)) == len(KINDS)
    after = _live(prefect)
    assert _ids(prefect) == ids
    assert all(after[kind.name][kind.change[0]] != before[kind.name][kind.change[0]] for kind in KINDS)
    registered.up("--refresh", "--expect-no-changes")


def test_an_edit_outside_is_shown_field_by_field_and_reverted(registered: Any, prefect: Any) -> None:
    before = _live(prefect)
    for kind in KINDS:
        method, edit, _ = kind.edit
        prefect.call(method, kind.at(before[kind.name]), edit)
    shown = registered.preview("--refresh")
    assert all(name in shown for kind in KINDS for name in kind.edit[2])
    result = registered.up("--refresh")
    assert {kind.name: result.fields(kind.name) for kind in KINDS} == {kind.name: kind.edit[2] for kind in KINDS}
    registered.up("--refresh", "--expect-no-changes")
    after = _live(prefect)
    for kind in KINDS:
        # A trigger is replaced, with ids of its own.
        reverted = [name for name in kind.edit[2] if name != "trigger"]
        assert [after[kind.name][name] for name in reverted] == [before[kind.name][name] for name in reverted]


def test_what_was_deleted_outside_is_created_again(registered: Any, prefect: Any) -> None:
    for kind in KINDS:
        prefect.call("DELETE", kind.at(kind.live(prefect, "one")))
    assert registered.up("--refresh").steps() == dict.fromkeys(EVERY, "create")
    assert all(_live(prefect).values())
    registered.up("--refresh", "--expect-no-changes")


LISTED = {
    "Variable": "variable/one",
    "GlobalConcurrencyLimit": "global-concurrency-limit/one",
    "Automation": "automation/one",
}
"""Kind -> how the setting `adopt` lists its object. A work queue goes with its pool."""


def test_what_exists_without_an_owner_is_adopted_with_its_id_if_it_is_listed(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.up()
    for kind in KINDS:
        where, body = kind.created
        prefect.call("POST", where, {"name": "one", **body})
    theirs = _ids(prefect)
    _declare(stack)
    for kind, listed in LISTED.items():
        refused = stack.attempt("preview", "--target", f"**::{kind}")
        assert refused.code != 0
        assert f"add '{listed}' to `adopt` in the stack file" in refused.text
    stack.run("config", "set", "--path", "adopt[0]", "*")
    assert stack.preview().count("exists and will be adopted") == len(KINDS)
    stack.up()
    assert _ids(prefect) == theirs
    marked = {kind for kind, live in _live(prefect).items() if "registration-test/test" in str(live)}
    # A limit has no field for it.
    assert marked == EVERY - {"GlobalConcurrencyLimit"}
    stack.up("--refresh", "--expect-no-changes")


def test_what_another_stack_owns_is_refused_in_the_preview(registered: Any) -> None:
    registered.declared["pools"].clear()
    registered.declared["objects"].clear()
    for kind in KINDS:
        fields = {name: value for name, value in kind.fields.items() if name != "pool"}
        queue = {"work_pool_name": "pool"} if "pool" in kind.fields else {}
        registered.object(kind.name, kind.name, **{"name": "one", **fields, **queue})
    registered.run("stack", "init", "other")
    for kind in KINDS:
        result = registered.attempt("preview", "--stack", "other", "--target", f"**::{kind.name}")
        assert result.code != 0
        assert "registration-test/test has registered it, and this is registration-test/other" in result.text
        assert "Traceback" not in result.text


def test_another_name_replaces_and_leaves_nothing_of_the_old_one(registered: Any, prefect: Any) -> None:
    for kind in KINDS:
        _declared(registered, kind)["name"] = "renamed"
    registered.up()
    assert _live(prefect) == dict.fromkeys(EVERY)
    assert all(_live(prefect, "renamed").values())
    registered.up("--refresh", "--expect-no-changes")


def test_a_resource_renamed_in_the_program_keeps_its_object(registered: Any, prefect: Any) -> None:
    before = _ids(prefect)
    registered.declared["objects"].clear()
    _declare(registered, resource="other-")
    registered.up()
    assert _ids(prefect) == before
    registered.up("--refresh", "--expect-no-changes")


def test_what_is_no_longer_declared_is_deleted_and_destroy_deletes_the_rest(registered: Any, prefect: Any) -> None:
    registered.declared["objects"].clear()
    for kind in KINDS:
        registered.object(kind.name, f"two-{kind.name}", **{**kind.fields, "name": "two"})
    registered.up()
    assert _live(prefect) == dict.fromkeys(EVERY)
    assert all(_live(prefect, "two").values())
    registered.destroy()
    assert _live(prefect, "two") == dict.fromkeys(EVERY)


def test_destroying_what_is_gone_already_succeeds(registered: Any, prefect: Any) -> None:
    for kind in KINDS:
        prefect.call("DELETE", kind.at(kind.live(prefect, "one")))
    registered.destroy()


def test_queues_keep_their_priorities_when_others_are_added(stack: Any, prefect: Any) -> None:
    stack.pool()
    for name, priority in (("low", 5), ("high", 1)):
        stack.object("WorkQueue", name, pool="pool", priority=priority)
    stack.up()
    for priority in (2, 3, 4):
        stack.object("WorkQueue", f"rank-{priority}", pool="pool", priority=priority)
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    ranks = {queue["name"]: queue["priority"] for queue in prefect.call("POST", "/work_pools/pool/queues/filter", {})}
    assert ranks == {"high": 1, "rank-2": 2, "rank-3": 3, "rank-4": 4, "low": 5, "default": 6}


def test_the_default_queue_can_be_declared_and_is_given_back(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.object("WorkQueue", "default", pool="pool", concurrency_limit=2)
    stack.up()
    assert prefect.queue("pool", "default")["concurrency_limit"] == 2
    del stack.declared["objects"]["WorkQueue"]
    stack.up()
    live = prefect.queue("pool", "default")
    assert (live["concurrency_limit"], live["description"]) == (None, "")


def test_a_deployment_that_moves_to_another_queue_keeps_its_pool_and_the_old_queue_goes(
    stack: Any, prefect: Any
) -> None:
    stack.pool()
    stack.object("WorkQueue", "fast", pool="pool")
    stack.deployment("one", pool="pool", queue="fast")
    stack.up()
    assert prefect.deployment("flow", "one")["work_queue_name"] == "fast"
    stack.up("--refresh", "--expect-no-changes")
    stack.object("WorkQueue", "slow", pool="pool")
    stack.declared["deployments"]["one"]["queue"] = "slow"
    del stack.declared["objects"]["WorkQueue"]["fast"]
    stack.up()
    live = prefect.deployment("flow", "one")
    assert (live["work_queue_name"], live["work_pool_name"]) == ("slow", "pool")
    assert prefect.queue("pool", "fast") is None
    stack.destroy()
    assert prefect.queue("pool", "slow") is None
    assert prefect.pool("pool") is None


def test_a_trigger_follows_its_deployment_to_a_new_id(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    run = {"type": "run-deployment", "parameters": {"a": "{{ event.id }}"}}
    stack.object("Automation", "trigger", owner="one", trigger={"expect": ["a", "b"]}, actions=[run])
    stack.up()
    before = prefect.deployment("flow", "one")["id"]
    [owned] = prefect.call("GET", f"/automations/related-to/prefect.deployment.{before}")
    assert owned["actions"][0]["deployment_id"] == before
    stack.up("--refresh", "--expect-no-changes")
    prefect.call("DELETE", f"/deployments/{before}")
    stack.up("--refresh")
    after = prefect.deployment("flow", "one")["id"]
    assert after != before
    [again] = prefect.call("GET", f"/automations/related-to/prefect.deployment.{after}")
    assert again["actions"][0]["deployment_id"] == after
    assert prefect.automation("trigger")["id"] == again["id"]
    stack.up("--refresh", "--expect-no-changes")
    stack.destroy()
    assert prefect.automations("trigger") == []


def test_a_secret_value_is_shown_by_prefect_only(stack: Any, prefect: Any) -> None:
    canary = "canary-1f6e2d"
    stack.object("Variable", "one", value=canary, secret_value=True)
    texts = [stack.preview(), stack.up().text, str(stack.export())]
    live = prefect.variable("one")
    assert live["value"] == canary
    prefect.call("PATCH", f"/variables/{live['id']}", {"value": f"{canary}-edited"})
    texts += [stack.preview("--refresh"), stack.up("--refresh").text, str(stack.export())]
    assert all(canary not in text for text in texts)


def test_a_refusal_by_the_server_is_one_sentence_that_names_the_object(stack: Any) -> None:
    trigger = {"expect": ["prefect.flow-run.Running"]}
    stack.object("Automation", "loop", trigger=trigger, actions=[{"type": "run-deployment", "source": "inferred"}])
    result = stack.try_up()
    assert result.code != 0
    assert "Traceback" not in result.text
    said = [line for line in result.messages().splitlines() if "Could not register automation 'loop'" in line]
    assert said
    assert "will lead to an infinite loop of flow runs" in said[0]
