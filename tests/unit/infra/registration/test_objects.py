"""What variables, limits, queues and automations have in common, for any value, against a server in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from infra.registration import automation, concurrency_limit, session, variable, work_queue
from infra.registration.automation import AutomationArgs, AutomationProvider
from infra.registration.concurrency_limit import GlobalConcurrencyLimitArgs, GlobalConcurrencyLimitProvider
from infra.registration.endpoint import PortForward, Url, to_props
from infra.registration.errors import RegistrationError
from infra.registration.provider import PrefectProvider
from infra.registration.variable import VariableArgs, VariableProvider
from infra.registration.work_queue import WorkQueueArgs, WorkQueueProvider

REACH = Url(url="http://prefect.test/api")
OURS, THEIRS = "project/dev/resource", "project/prod/resource"

_WORDS = st.text("abcdef ", min_size=1, max_size=8).filter(str.strip)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=2),
    max_leaves=4,
)
_TAGS = st.lists(_WORDS, max_size=3).map(tuple)
_EVENTS = st.lists(st.sampled_from(["a.b", "prefect.flow-run.*", "c"]), max_size=3)
_LABELS = st.dictionaries(_WORDS, _WORDS | st.lists(_WORDS, max_size=2), max_size=2)


@st.composite
def _event_triggers(draw: st.DrawFn) -> dict[str, Any]:
    posture = draw(st.sampled_from(["Reactive", "Proactive"]))
    trigger = {
        "type": "event",
        "posture": posture,
        "within": draw(st.sampled_from([10, 10.5, 300, 90.0])),
        "threshold": draw(st.integers(1, 9)),
        "match": draw(_LABELS),
        "match_related": draw(_LABELS | st.lists(_LABELS, max_size=2)),
        **{name: draw(_EVENTS) for name in ("after", "expect", "for_each")},
    }
    left_out = draw(st.sets(st.sampled_from(sorted(trigger))))
    return {name: value for name, value in trigger.items() if name not in left_out}


_TRIGGERS = st.recursive(
    _event_triggers(),
    lambda inner: (
        st.fixed_dictionaries(
            {
                "type": st.just("compound"),
                "require": st.sampled_from(["any", "all", 1]),
                "triggers": st.lists(inner, min_size=1, max_size=2),
            }
        )
        | st.fixed_dictionaries(
            {
                "type": st.just("sequence"),
                "triggers": st.lists(inner, min_size=1, max_size=2),
                "within": st.sampled_from([None, 60]),
            }
        )
    ),
    max_leaves=3,
)
_ACTIONS = st.lists(
    st.sampled_from(
        [
            {"type": "do-nothing"},
            {"type": "run-deployment", "source": "inferred"},
            {"type": "run-deployment", "deployment_id": "1", "parameters": {"a": None}, "schedule_after": 5.5},
            {"type": "change-flow-run-state", "state": "CRASHED", "message": "m", "force": False},
            {"type": "change-flow-run-state", "state": "FAILED", "name": None, "force": True},
            {"type": "send-notification", "block_document_id": "2", "body": "b"},
        ]
    ),
    max_size=2,
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of object: how it is declared, where the fake keeps it, and what its fields may hold."""

    provider: type[PrefectProvider]
    declare: Callable[..., dict[str, Any]]
    store: str
    fields: dict[str, st.SearchStrategy[Any]]
    edit: tuple[str, Any]
    base: dict[str, Any]
    marks: str = ""
    """Where the fake keeps the objects that hold the owner; the objects themselves when empty."""

    def props(self, name: str = "one", mark: str = OURS, **fields: Any) -> dict[str, Any]:
        return self.declare({"name": name, **self.base, **fields}, mark)

    def live(self, prefect: Any) -> list[Any]:
        return self._of(prefect, self.store)

    def marked(self, prefect: Any) -> list[Any]:
        return self._of(prefect, self.marks or self.store)

    def _of(self, prefect: Any, store: str) -> list[Any]:
        return [item for item in getattr(prefect.objects, store).values() if item["name"] != "default"]


KINDS = {
    "variable": Kind(
        provider=VariableProvider,
        declare=lambda fields, mark: variable.inputs(VariableArgs(endpoint=REACH, **fields), mark),
        store="variables",
        fields={"value": _JSON, "tags": _TAGS},
        edit=("value", "theirs"),
        base={"value": 1},
    ),
    "limit": Kind(
        provider=GlobalConcurrencyLimitProvider,
        declare=lambda fields, mark: concurrency_limit.inputs(
            GlobalConcurrencyLimitArgs(endpoint=REACH, **fields), mark
        ),
        store="limits",
        fields={
            "limit": st.integers(0, 9),
            "slot_decay_per_second": st.sampled_from([0, 0.5, 1.0, 2]),
            "active": st.sampled_from([None, True, False]),
        },
        edit=("limit", 99),
        base={"limit": 3},
        marks="variables",
    ),
    "queue": Kind(
        provider=WorkQueueProvider,
        declare=lambda fields, mark: work_queue.inputs(
            WorkQueueArgs(endpoint=REACH, work_pool_name="pool", **fields), mark
        ),
        store="queues",
        fields={
            "description": st.just("") | _WORDS,
            "concurrency_limit": st.none() | st.integers(0, 9),
            "priority": st.none() | st.integers(1, 9),
            "is_paused": st.sampled_from([None, True, False]),
        },
        edit=("concurrency_limit", 99),
        base={},
    ),
    "automation": Kind(
        provider=AutomationProvider,
        declare=lambda fields, mark: automation.inputs(AutomationArgs(endpoint=REACH, **fields), mark),
        store="automations",
        fields={
            "description": st.just("") | _WORDS,
            "enabled": st.sampled_from([None, True, False]),
            "tags": _TAGS,
            "trigger": _TRIGGERS,
            "actions": _ACTIONS,
            "actions_on_trigger": _ACTIONS,
            "actions_on_resolve": _ACTIONS,
        },
        edit=("tags", ["theirs"]),
        base={"trigger": {"type": "event", "expect": ["b", "a"]}, "actions": [{"type": "do-nothing"}]},
    ),
}
_FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture
def pool(prefect: Any) -> None:
    prefect.pools["pool"] = {"name": "pool", "default_queue_id": "d"}
    _with_its_default_queue_only(prefect)


def _with_its_default_queue_only(prefect: Any) -> None:
    default = {"id": "d", "name": "default", "priority": 1, "is_paused": False, "description": ""}
    prefect.objects.queues = {("pool", "default"): {**default, "concurrency_limit": None}}


pytestmark = pytest.mark.usefixtures("pool")


@every_kind
@_FAST
@given(data=st.data())
def test_a_registered_object_reads_back_without_a_difference(
    kind: Kind, data: st.DataObject, engine: Any, unique_name: Callable[[], str]
) -> None:
    fields = data.draw(st.fixed_dictionaries(kind.fields))
    props = kind.props(unique_name(), **fields)
    resource = engine(kind.provider())
    resource.up(props)
    assert resource.diff(props) == []
    resource.refresh()
    assert resource.diff(props) == []


@every_kind
@_FAST
@given(data=st.data())
def test_a_change_of_one_field_is_shown_as_that_field_and_written(
    kind: Kind, data: st.DataObject, engine: Any, prefect: Any, unique_name: Callable[[], str]
) -> None:
    _with_its_default_queue_only(prefect)
    fields, name = data.draw(st.fixed_dictionaries(kind.fields)), unique_name()
    field = data.draw(st.sampled_from(sorted(kind.fields)))
    after = {**fields, field: data.draw(kind.fields[field])}
    through = engine(None).marshalled
    # Prefect's defaults and the order of sets do not count as a difference.
    assume(through(kind.props(name, **fields)) != through(kind.props(name, **after)))
    resource = engine(kind.provider())
    resource.up(kind.props(name, **fields))
    prefect.forget_requests()
    assert resource.up(kind.props(name, **after)) == [field]
    assert len(prefect.writes) <= 1
    resource.refresh()
    assert resource.diff(kind.props(name, **after)) == []


@every_kind
def test_an_unchanged_up_sends_no_request(kind: Kind, engine: Any, prefect: Any) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    prefect.forget_requests()
    assert resource.up(kind.props()) == []
    assert prefect.requests == []


@every_kind
def test_an_outside_edit_is_drift_and_is_reverted(kind: Kind, engine: Any, prefect: Any) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    [live] = kind.live(prefect)
    field, theirs = kind.edit
    ours, live[field] = live[field], theirs
    resource.refresh()
    assert resource.diff(kind.props()) == [field]
    resource.up(kind.props())
    [healed] = kind.live(prefect)
    assert healed[field] == ours


@every_kind
def test_an_object_deleted_outside_is_recreated(kind: Kind, engine: Any, prefect: Any) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    getattr(prefect.objects, kind.store).clear()
    field, value = kind.edit
    resource.up(kind.props(**{field: value}))
    assert len(kind.live(prefect)) == 1
    getattr(prefect.objects, kind.store).clear()
    resource.refresh()
    assert resource.id is None


@pytest.mark.usefixtures("adopting")
@every_kind
def test_an_object_without_an_owner_is_adopted_and_the_preview_says_so(
    kind: Kind, engine: Any, prefect: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    [live] = kind.live(prefect)
    _disown(kind, prefect)
    again = engine(kind.provider())
    again.up(kind.props())
    assert [item["id"] for item in kind.live(prefect)] == [live["id"]]
    assert "exists and will be adopted" in capsys.readouterr().err
    assert "project/dev" in str(kind.marked(prefect))


def _disown(kind: Kind, prefect: Any) -> None:
    """Take the owner away, as somebody does who registers the object again."""
    for item in kind.marked(prefect):
        for field in ("description", "tags"):
            if field in item:
                item[field] = type(item[field])()


every_shared_kind = pytest.mark.parametrize("kind", [each for name, each in KINDS.items() if name != "queue"])
"""A queue belongs to its pool."""
every_kind_with_an_owner_of_its_own = pytest.mark.parametrize("kind", [KINDS["variable"], KINDS["automation"]])


@every_shared_kind
def test_an_object_without_an_owner_is_refused_unless_it_is_listed(
    kind: Kind, engine: Any, prefect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(kind.provider()).up(kind.props())
    _disown(kind, prefect)
    prefect.forget_requests()
    listed = f"{kind.provider.noun.replace(' ', '-')}/one"
    [failure] = kind.provider().check({}, engine(None).marshalled(kind.props())).failures
    assert "exists and has no owner" in failure.reason
    assert f"add '{listed}' to `adopt` in the stack file" in failure.reason
    with pytest.raises(RegistrationError, match="exists and has no owner"):
        kind.provider().create(engine(None).marshalled(kind.props()))
    assert prefect.writes == []
    monkeypatch.setattr(session, "_adoptable", [listed])
    assert not kind.provider().check({}, engine(None).marshalled(kind.props())).failures


def test_on_the_stacks_own_server_an_object_without_an_owner_is_adopted_unlisted() -> None:
    own = to_props(PortForward(namespace="flows", service="prefect-server"))
    assert VariableProvider().is_adoptable({"reach": own, "name": "one"})
    assert not VariableProvider().is_adoptable({"reach": to_props(REACH), "name": "one"})


@every_kind_with_an_owner_of_its_own
def test_a_destroy_keeps_an_object_without_an_owner_unless_it_is_listed(
    kind: Kind, engine: Any, prefect: Any, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    _disown(kind, prefect)
    new_process()
    resource.destroy()
    assert kind.live(prefect)
    monkeypatch.setattr(session, "_adoptable", ["*"])
    resource.destroy()
    assert not kind.live(prefect)


@every_kind
def test_an_object_of_another_stack_is_refused(kind: Kind, engine: Any, prefect: Any) -> None:
    engine(kind.provider()).up(kind.props(mark=THEIRS))
    prefect.forget_requests()
    [failure] = kind.provider().check({}, engine(None).marshalled(kind.props())).failures
    assert "project/prod has registered it, and this is project/dev" in failure.reason
    with pytest.raises(RegistrationError, match="belongs to another stack"):
        kind.provider().create(engine(None).marshalled(kind.props()))
    assert prefect.writes == []


@every_kind
def test_a_destroy_keeps_what_another_stack_owns_now(
    kind: Kind, engine: Any, prefect: Any, new_process: Callable[[], None]
) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    for item in kind.marked(prefect):
        item.update(json.loads(json.dumps(item).replace("project/dev", "project/prod")))
    new_process()
    resource.destroy()
    assert kind.live(prefect)


@every_kind
def test_adopting_an_equal_object_of_this_stack_writes_nothing(kind: Kind, engine: Any, prefect: Any) -> None:
    before = engine(kind.provider())
    before.up(kind.props())
    prefect.forget_requests()
    after_a_crash = engine(kind.provider())
    after_a_crash.up(kind.props())
    assert prefect.writes == []
    assert after_a_crash.state == before.state


@every_kind
def test_a_new_name_replaces_the_object(kind: Kind, engine: Any) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    diff = resource.provider.diff("", resource.state, resource.marshalled(kind.props("two")))
    assert diff.replaces == ["name"]


@every_kind
def test_renaming_a_resource_keeps_its_object(
    kind: Kind, engine: Any, prefect: Any, new_process: Callable[[], None]
) -> None:
    old = engine(kind.provider())
    old.up(kind.props())
    new_process()
    engine(kind.provider()).up(kind.props(mark="project/dev/renamed"))
    old.destroy()
    assert kind.live(prefect)


@every_kind
def test_a_destroy_deletes_and_accepts_a_missing_object(
    kind: Kind, engine: Any, prefect: Any, new_process: Callable[[], None]
) -> None:
    resource = engine(kind.provider())
    resource.up(kind.props())
    new_process()
    resource.destroy()
    assert kind.live(prefect) == []
    resource.destroy()
