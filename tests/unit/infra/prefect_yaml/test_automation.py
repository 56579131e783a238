"""Triggers and actions in Prefect's schema: what is refused, and that Prefect accepts the rest."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.events.actions import ActionTypes
from prefect.events.schemas.automations import TriggerTypes
from prefect.server.events.schemas.automations import ServerTriggerTypes
from pydantic import TypeAdapter

from infra.prefect_yaml.automation import AutomationError, parse_action, parse_trigger
from infra.specs.automation import ACTIONS, TRIGGERS, full_trigger, normal_action, normal_trigger

ID = "00000000-0000-0000-0000-000000000001"
_PREFECTS_TRIGGER: TypeAdapter[Any] = TypeAdapter(TriggerTypes)
_PREFECTS_ACTION: TypeAdapter[Any] = TypeAdapter(ActionTypes)

GOOD_TRIGGERS: list[dict[str, Any]] = [
    {"expect": ["a"]},
    {"type": "event", "match": {"a": "b", "c": ["d", "!e"]}, "match_related": [{"a": "b"}, {"c": ["d"]}]},
    {"posture": "Proactive", "after": ["a"], "expect": ["b"], "for_each": ["c"], "threshold": 2, "within": 10},
    {"posture": "Proactive"},
    {"type": "compound", "require": 1, "triggers": [{"expect": ["a"]}], "within": 5},
    {"require": "any", "triggers": [{"expect": ["a"]}, {"type": "sequence", "triggers": [{"expect": ["b"]}]}]},
    {"triggers": [{"expect": ["a"]}, {"expect": ["b"]}]},
    {"posture": "Metric", "metric": {"name": "lateness", "operator": ">", "threshold": 5, "range": 600}},
]
OTHER_NUMBERS: list[dict[str, Any]] = [
    {"type": "compound", "require": " +1.0 ", "triggers": [{"expect": ["a"], "threshold": "2"}]},
    {"expect": ["a"], "threshold": 1.0},
    {"expect": ["a"], "threshold": True},
    {"posture": "Metric", "metric": {"name": "lateness", "operator": ">", "threshold": "5.5", "range": 600}},
]
GOOD_ACTIONS: list[dict[str, Any]] = [
    {"type": "do-nothing"},
    {"type": "run-deployment", "deployment_id": ID, "parameters": {"a": 1}, "job_variables": {}, "schedule_after": 5},
    {"type": "run-deployment", "source": "inferred"},
    {"type": "change-flow-run-state", "state": "CRASHED", "name": "Gone", "message": "m", "force": True},
    {"type": "send-notification", "block_document_id": ID, "body": "b", "subject": "s"},
    {"type": "call-webhook", "block_document_id": ID, "payload": "p"},
    {"type": "pause-work-pool", "work_pool_id": ID},
    {"type": "resume-work-queue", "source": "inferred"},
    {"type": "pause-automation", "automation_id": ID},
    {"type": "declare-incident"},
]


@pytest.mark.parametrize("raw", [*GOOD_TRIGGERS, *OTHER_NUMBERS], ids=str)
def test_prefect_reads_a_trigger_in_its_normal_form_as_it_reads_the_original(raw: dict[str, Any]) -> None:
    normal = normal_trigger(parse_trigger(raw))
    assert _PREFECTS_TRIGGER.validate_python(normal) == _PREFECTS_TRIGGER.validate_python(raw)


@pytest.mark.parametrize("raw", [raw for raw in GOOD_TRIGGERS if "metric" not in raw], ids=str)
def test_prefects_server_takes_what_is_sent_and_makes_the_same_of_it(raw: dict[str, Any]) -> None:
    normal = normal_trigger(raw)
    taken = TypeAdapter[Any](ServerTriggerTypes).validate_python(full_trigger(normal))
    assert normal_trigger(taken.model_dump(mode="json")) == normal


@pytest.mark.parametrize("raw", GOOD_ACTIONS, ids=str)
def test_an_action_and_its_normal_form_are_equal_to_prefect(raw: dict[str, Any]) -> None:
    normal = normal_action(parse_action(raw))
    assert _PREFECTS_ACTION.validate_python(normal) == _PREFECTS_ACTION.validate_python(raw)


@pytest.mark.parametrize("raw", GOOD_TRIGGERS, ids=str)
def test_defaults_that_prefect_adds_do_not_change_the_normal_form_of_a_trigger(raw: dict[str, Any]) -> None:
    filled = _PREFECTS_TRIGGER.validate_python(raw).model_dump(mode="json")
    assert normal_trigger(filled) == normal_trigger(raw)


def test_the_tables_have_exactly_prefects_triggers_and_actions_and_their_fields() -> None:
    models = {arm.model_fields["type"].default: arm for arm in ActionTypes.__args__}
    assert {kind: set(arm.model_fields) - {"type", "id"} for kind, arm in models.items()} == {
        kind: set(fields) for kind, fields in ACTIONS.items()
    }
    arms = [arm.__args__[0] for arm in TriggerTypes.__args__[0].__args__]
    assert {arm.model_fields["type"].default: set(arm.model_fields) - {"type", "id"} for arm in arms} == {
        kind: set(fields) for kind, fields in TRIGGERS.items()
    }


@pytest.mark.parametrize(
    ("raw", "place", "error"),
    [
        ([], (), "this must be a mapping"),
        ({"type": "evnt"}, ("type",), "no trigger has type 'evnt'; did you mean 'event'?"),
        ({"expects": ["a"]}, ("expects",), "has no key 'expects'; did you mean 'expect'?"),
        ({"expect": "a"}, ("expect",), "expect must be a list of events"),
        ({"match": ["a"]}, ("match",), "match must be a mapping of labels"),
        ({"match_related": [{"a": 1}]}, ("match_related",), "match_related must be a mapping of labels"),
        ({"posture": "proactive"}, ("posture",), "posture is 'proactive'; write Reactive or Proactive"),
        ({"threshold": "x"}, ("threshold",), "threshold is 'x'; write an integer"),
        ({"within": "soon"}, ("within",), "within 'soon' must be a duration; write seconds, PT1H or 01:00:00"),
        ({"within": -1}, ("within",), "must be a duration"),
        ({"posture": "Proactive", "within": 9}, ("within",), "waits at least 10 seconds"),
        ({"type": "compound", "triggers": []}, ("triggers",), "triggers must be a list of"),
        ({"require": 3, "triggers": [{}]}, ("require",), "require is 3, and there are 1 triggers"),
        ({"require": "most", "triggers": [{}]}, ("require",), "write any, all or an integer"),
        ({"triggers": [{}, {"within": "x"}]}, ("triggers", 1, "within"), "must be a duration"),
        ({"posture": "Metric"}, ("metric",), "metric must be a mapping"),
        (
            {"posture": "Metric", "metric": {"name": "lateness", "operator": ">", "threshold": 5, "range": 60}},
            ("metric", "range"),
            "range must be at least 300 seconds",
        ),
    ],
)
def test_the_error_of_a_wrong_trigger_names_its_place(raw: Any, place: tuple[Any, ...], error: str) -> None:
    with pytest.raises(AutomationError) as caught:
        parse_trigger(raw)
    assert error in str(caught.value)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("raw", "place", "error"),
    [
        ("x", (), "this must be a mapping"),
        ({"type": "cancel-flow-runs"}, ("type",), "did you mean 'cancel-flow-run'?"),
        ({}, ("type",), "no action has type 'None'"),
        ({"type": "cancel-flow-run", "state": "FAILED"}, ("state",), "has no key 'state'"),
        ({"type": "run-deployment"}, (), "needs one of deployment or deployment_id, or `source: inferred`"),
        ({"type": "run-deployment", "deployment": "a/b", "deployment_id": ID}, (), "needs one of"),
        ({"type": "run-deployment", "deployment_id": "a/b"}, ("deployment_id",), "a UUID in Prefect"),
        ({"type": "run-deployment", "source": "inferred", "deployment": "a/b"}, ("deployment",), "has no effect"),
        ({"type": "run-deployment", "deployment": "a/b", "parameters": []}, ("parameters",), "must be a mapping"),
        ({"type": "change-flow-run-state"}, (), "needs state; write it"),
        ({"type": "change-flow-run-state", "state": "DEAD"}, ("state",), "state is 'DEAD'; write SCHEDULED or"),
        ({"type": "send-notification", "body": "b"}, (), "needs block_document_id"),
        ({"type": "send-notification", "block_document_id": ID}, (), "needs body; write it"),
        ({"type": "pause-automation"}, (), "needs one of automation_id"),
    ],
)
def test_the_error_of_a_wrong_action_names_its_place(raw: Any, place: tuple[Any, ...], error: str) -> None:
    with pytest.raises(AutomationError) as caught:
        parse_action(raw)
    assert error in str(caught.value)
    assert caught.value.place == place
