"""Every field of variables, limits, queues and automations on a real server: written, read, and nothing else moves."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.registration import automation, concurrency_limit, session, variable, work_queue
from infra.registration.automation import AutomationArgs, AutomationProvider
from infra.registration.concurrency_limit import GlobalConcurrencyLimitArgs, GlobalConcurrencyLimitProvider
from infra.registration.encoding import decode
from infra.registration.endpoint import Url
from infra.registration.provider import PrefectProvider
from infra.registration.variable import VariableArgs, VariableProvider
from infra.registration.work_queue import WorkQueueArgs, WorkQueueProvider
from tests.marshal import marshalled

ID = "00000000-0000-0000-0000-000000000001"
EVENT = {"type": "event", "expect": ["b", "a"]}
KINDS: dict[str, tuple[type[PrefectProvider], Callable[..., dict[str, Any]], Callable[..., Any]]] = {
    "variable": (VariableProvider, variable.inputs, VariableArgs),
    "limit": (
        GlobalConcurrencyLimitProvider,
        concurrency_limit.inputs,
        GlobalConcurrencyLimitArgs,
    ),
    "queue": (
        WorkQueueProvider,
        work_queue.inputs,
        lambda **fields: WorkQueueArgs(work_pool_name="fidelity", **fields),
    ),
    "automation": (AutomationProvider, automation.inputs, AutomationArgs),
}
BASE: dict[str, dict[str, Any]] = {
    "variable": {"value": "v", "tags": ("a",)},
    "limit": {"limit": 3, "slot_decay_per_second": 0.5, "active": True},
    "queue": {"description": "Before.", "concurrency_limit": 2, "is_paused": False, "priority": 3},
    "automation": {
        "trigger": EVENT,
        "actions": [{"type": "do-nothing"}],
        "description": "Before.",
        "enabled": True,
        "tags": ("a", "b"),
    },
}
CHANGES: list[tuple[str, str, Any]] = [
    ("variable", "value", None),
    ("variable", "value", 3),
    ("variable", "value", 2.5),
    ("variable", "value", False),
    ("variable", "value", ""),
    ("variable", "value", [1, None, {"a": None, "b": [{}]}]),
    ("variable", "value", {"a": 1.0, "Ä": "ü\n"}),
    ("variable", "tags", ()),
    ("variable", "tags", ("b", "a")),
    ("limit", "limit", 0),
    ("limit", "slot_decay_per_second", 0),
    ("limit", "active", False),
    ("queue", "description", ""),
    ("queue", "description", "Two\n\nparagraphs."),
    ("queue", "concurrency_limit", None),
    ("queue", "concurrency_limit", 0),
    ("queue", "is_paused", True),
    ("queue", "priority", 1),
    ("automation", "description", ""),
    ("automation", "enabled", False),
    ("automation", "tags", ()),
    ("automation", "trigger", {"posture": "Proactive", "within": 60.5, "after": ["x"], "for_each": ["b", "a"]}),
    ("automation", "trigger", {"match": {"a": "b", "c": ["d"]}, "match_related": [{"e": "f"}, {"g": ["h", "i"]}]}),
    ("automation", "trigger", {"require": 1, "triggers": [EVENT, {"triggers": [EVENT]}], "within": 30}),
    ("automation", "trigger", {"triggers": [EVENT, {"expect": ["c"], "threshold": 3}]}),
    ("automation", "actions", [{"type": "run-deployment", "deployment_id": ID, "parameters": {"a": None}}]),
    ("automation", "actions", [{"type": "pause-deployment", "source": "inferred"}, {"type": "cancel-flow-run"}]),
    ("automation", "actions", [{"type": "change-flow-run-state", "state": "FAILED", "name": "N", "force": True}]),
    ("automation", "actions", [{"type": "send-notification", "block_document_id": ID, "body": "b"}]),
    ("automation", "actions", [{"type": "call-webhook", "block_document_id": ID, "payload": "{{ event }}"}]),
    ("automation", "actions", [{"type": "pause-work-pool", "work_pool_id": ID}, {"type": "suspend-flow-run"}]),
    ("automation", "actions", [{"type": "resume-work-queue", "work_queue_id": ID}, {"type": "delete-flow-run"}]),
    ("automation", "actions", [{"type": "pause-automation", "automation_id": ID}, {"type": "resume-flow-run"}]),
    ("automation", "actions_on_trigger", [{"type": "do-nothing"}]),
    ("automation", "actions_on_resolve", [{"type": "do-nothing"}]),
]
_names = itertools.count()


@pytest.fixture
def _pool(prefect: Any) -> Iterator[None]:
    prefect.call("POST", "/work_pools/", {"name": "fidelity", "type": "kubernetes"})
    yield
    prefect.call("DELETE", "/work_pools/fidelity")


@pytest.mark.usefixtures("_pool")
@pytest.mark.parametrize(("kind", "field", "value"), CHANGES, ids=lambda item: str(item)[:40])
def test_each_field_of_an_object_is_written_and_read_alone(
    kind: str, field: str, value: Any, prefect_server: str
) -> None:
    make_provider, inputs, declare = KINDS[kind]
    provider = make_provider()
    before = declare(endpoint=Url(url=prefect_server), name=f"one-{next(_names)}", **BASE[kind])
    after = dataclasses.replace(before, **{field: value})

    def props(args: Any) -> Any:
        return marshalled(inputs(args, "project/dev/one"))

    state = marshalled(provider.create(props(before)).outs or {})
    assert provider.changed(state, props(before)) == []
    assert provider.changed(state, props(after)) == [field]
    state = marshalled(provider.update("", state, props(after)).outs or {})
    assert provider.changed(state, props(after)) == []
    read = marshalled(provider.read("", state).outs or {})
    assert provider.changed(read, props(after)) == []
    assert provider.changed(read, props(before)) == [field]
    provider.delete_live(*_own(provider, state))


def _own(provider: PrefectProvider, state: dict[str, Any]) -> tuple[Any, Any, Any]:
    fields = decode(state)
    api = session.api(fields)
    live = provider.get(api, fields, operation="read it", deadline=10)
    assert live is not None
    return api, live, fields
