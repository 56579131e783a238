"""Triggers and actions of automations, checked as far as they can be without a server.

The same schema stands in two files: below `triggers` of a deployment in prefect.yaml, and below `automations` in the
stack's file.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

from infra.prefect_yaml import duration
from infra.prefect_yaml.document import Place, nearest
from infra.specs.automation import ACTIONS, SETS, SHORTEST_SILENCE, TRIGGERS, AutomationSpec, kind_of_trigger

OWN_KEYS: Final = ("name", "description", "enabled", "parameters", "job_variables", "schedule_after")
"""What a trigger in prefect.yaml says about its automation and the run that it makes."""

NAME_KEYS: Final = {"deployment_id": "deployment", "work_pool_id": "work_pool", "work_queue_id": "work_queue"}
"""Id in an action -> key by which a stack's file may name the object instead."""

_STATES: Final = (
    "SCHEDULED",
    "PENDING",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "CRASHED",
    "PAUSED",
    "CANCELLING",
)
_METRICS: Final = ("lateness", "duration", "successes")
_OPERATORS: Final = ("<", "<=", ">", ">=")
_METRIC_KEYS: Final = ("name", "threshold", "operator", "range", "firing_for")
_SHORTEST_QUERY: Final = 300


class AutomationError(Exception):
    """A trigger or an action is wrong.

    Attributes:
        place: keys and indices from the trigger or action to what is wrong.

    """

    def __init__(self, place: Place, text: str) -> None:
        """Take the place, and a sentence with its remedy."""
        super().__init__(text)
        self.place = place


def parse_deployment_trigger(raw: Any, number: int, deployment: str) -> AutomationSpec:
    """Read one of a deployment's triggers.

    Args:
        raw: as it stands in prefect.yaml.
        number: its place in the list from 1, which names it when it has no name, as in Prefect.
        deployment: name of the deployment; the action that runs it gets the id later.

    Raises:
        AutomationError: what is wrong first.

    """
    given = parse_trigger(raw, (), OWN_KEYS)
    action: dict[str, Any] = {"type": "run-deployment"}
    for key in ("parameters", "job_variables"):
        if raw.get(key) is not None:
            action[key] = _mapping(raw[key], (key,))
    if raw.get("schedule_after") is not None:
        action["schedule_after"] = _seconds(raw["schedule_after"], ("schedule_after",))
    return AutomationSpec(
        name=str(raw.get("name") or f"{deployment}__automation_{number}"),
        description=str(raw.get("description") or ""),
        enabled=_flag(raw.get("enabled"), ("enabled",)),
        trigger=given,
        actions=(action,),
    )


def parse_trigger(raw: Any, place: Place = (), others: Collection[str] = ()) -> dict[str, Any]:
    """Check a trigger and return it, durations as seconds.

    Args:
        raw: as it stands in the file.
        place: of it, within what the caller reads.
        others: keys that stand beside it and are the caller's.

    Raises:
        AutomationError: what is wrong first.

    """
    fields = _mapping(raw, place)
    kind = kind_of_trigger(fields)
    if kind not in TRIGGERS:
        _refuse((*place, "type"), f"there is no trigger of type '{kind}'; {nearest(kind, TRIGGERS)}")
    known = TRIGGERS[kind]
    for key in fields:
        if key not in known and key not in others and key != "type":
            _refuse((*place, key), f"a trigger of type {kind} has no key '{key}'; {nearest(key, [*known, *others])}")
    given = {"type": kind, **{key: fields[key] for key in known if fields.get(key) is not None}}
    _check_labels(given, place)
    if kind == "event":
        return _event(given, place)
    if kind == "metric":
        return {**given, "metric": _metric(given.get("metric"), (*place, "metric"))}
    return _composite(given, place)


def parse_action(raw: Any, place: Place = ()) -> dict[str, Any]:
    """Check an action and return it.

    Args:
        raw: as it stands in the file.
        place: of it, within what the caller reads.

    Raises:
        AutomationError: what is wrong first.

    """
    fields = _mapping(raw, place)
    kind = str(fields.get("type"))
    if kind not in ACTIONS:
        _refuse((*place, "type"), f"there is no action of type '{kind}'; {nearest(kind, ACTIONS)}")
    known = {*ACTIONS[kind], *(NAME_KEYS[key] for key in ACTIONS[kind] if key in NAME_KEYS)}
    for key in fields:
        if key not in known and key != "type":
            _refuse((*place, key), f"an action of type {kind} has no key '{key}'; {nearest(key, known)}")
    given = {key: value for key, value in fields.items() if value is not None}
    if "source" in known:
        _check_target(given, kind, place)
    for key in ("body", "state"):
        if key in known and not given.get(key):
            _refuse(place, f"an action of type {kind} needs {key}; write it")
    if "block_document_id" in known:
        _check_id(given, "block_document_id", kind, place)
    if "state" in known:
        given["state"] = _one_of(str(given["state"]).upper(), _STATES, (*place, "state"))
    for key in ("parameters", "job_variables"):
        if key in given:
            _mapping(given[key], (*place, key))
    if "schedule_after" in given:
        given["schedule_after"] = _seconds(given["schedule_after"], (*place, "schedule_after"))
    return given


def _event(given: dict[str, Any], place: Place) -> dict[str, Any]:
    for key in SETS:
        names = given.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            _refuse((*place, key), f"{key} is no list of names; write `- prefect.flow-run.Completed` below it")
    posture = _one_of(given.get("posture", "Reactive"), ("Reactive", "Proactive"), (*place, "posture"))
    if "threshold" in given:
        given["threshold"] = _whole(given["threshold"], 1, (*place, "threshold"))
    if "within" in given:
        given["within"] = _seconds(given["within"], (*place, "within"))
    if posture == "Proactive" and 0 < given.get("within", 0) < SHORTEST_SILENCE:
        text = f"a proactive trigger waits at least {SHORTEST_SILENCE} seconds; write `within: 10` or more"
        _refuse((*place, "within"), text)
    if posture == "Proactive" and not given.get("within"):
        given.pop("within", None)
    return given


def _composite(given: dict[str, Any], place: Place) -> dict[str, Any]:
    children = given.get("triggers")
    if not isinstance(children, list) or not children:
        _refuse((*place, "triggers"), "triggers is no list with triggers in it; write `- expect: [...]` below it")
    given["triggers"] = [parse_trigger(child, (*place, "triggers", index)) for index, child in enumerate(children)]
    if "within" in given:
        given["within"] = _seconds(given["within"], (*place, "within"))
    if given["type"] == "compound":
        require = given.get("require")
        if require not in ("any", "all"):
            number = _whole(require, 1, (*place, "require"), "any, all or a whole number of at least 1")
            if number > len(children):
                text = f"require is {number}, and there are {len(children)} triggers; write a lower number, any or all"
                _refuse((*place, "require"), text)
            given["require"] = number
    return given


def _metric(raw: Any, place: Place) -> dict[str, Any]:
    fields = _mapping(raw, place)
    for key in fields:
        if key not in _METRIC_KEYS:
            _refuse((*place, key), f"a metric has no key '{key}'; {nearest(key, _METRIC_KEYS)}")
    threshold = fields.get("threshold")
    if not isinstance(threshold, int | float) or isinstance(threshold, bool):
        _refuse((*place, "threshold"), "threshold is no number; write one")
    spans = {key: _seconds(fields.get(key, _SHORTEST_QUERY), (*place, key)) for key in ("range", "firing_for")}
    for key, value in spans.items():
        if value < _SHORTEST_QUERY:
            _refuse((*place, key), f"{key} is shorter than {_SHORTEST_QUERY} seconds; write 300 or more")
    return {
        "name": _one_of(fields.get("name"), _METRICS, (*place, "name")),
        "operator": _one_of(fields.get("operator"), _OPERATORS, (*place, "operator")),
        "threshold": threshold,
        **spans,
    }


def _check_labels(given: Mapping[str, Any], place: Place) -> None:
    for key in ("match", "match_related"):
        value = given.get(key, {})
        several = value if isinstance(value, list) and key == "match_related" else [value]
        if not all(_are_labels(item) for item in several):
            text = f"{key} is no mapping of labels; write `prefect.resource.id: prefect.flow-run.*` below it"
            _refuse((*place, key), text)


def _are_labels(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, str) or (isinstance(item, list) and all(isinstance(part, str) for part in item))
        for item in value.values()
    )


def _check_target(given: dict[str, Any], kind: str, place: Place) -> None:
    target = next(key for key in ACTIONS[kind] if key.endswith("_id"))
    name = NAME_KEYS.get(target)
    source = _one_of(given.get("source", "selected"), ("selected", "inferred"), (*place, "source"))
    named = [key for key in (target, name) if key and key in given]
    ways = f"{name} or {target}" if name else target
    if source == "inferred" and named:
        _refuse((*place, named[0]), f"source is inferred, so {named[0]} means nothing; remove one of them")
    if source == "selected" and len(named) != 1:
        _refuse(place, f"an action of type {kind} needs one of {ways}, or `source: inferred`; write one")
    if target in given:
        _check_id(given, target, kind, place)


def _check_id(given: Mapping[str, Any], key: str, kind: str, place: Place) -> None:
    try:
        uuid.UUID(str(given.get(key)))
    except ValueError:
        _refuse((*place, key) if key in given else place, f"an action of type {kind} needs {key}, an id of Prefect's")


def _mapping(value: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(place, f"{place[-1] if place else 'this'} is no mapping; write `name: value` below it")
    return value


def _seconds(value: Any, place: Place) -> float:
    seconds = duration.seconds(value)
    if seconds is None or seconds < 0:
        _refuse(place, f"{place[-1]} '{value}' is no length of time; write seconds, PT1H or 01:00:00")
    return seconds


def _whole(value: Any, least: int, place: Place, wanted: str = "a whole number of at least 1") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        _refuse(place, f"{place[-1]} is '{value}'; write {wanted}")
    return value


def _flag(value: Any, place: Place) -> bool | None:
    word = str(value).lower()
    if value is not None and word not in ("true", "false"):
        _refuse(place, f"{place[-1]} is '{value}'; write true or false")
    return None if value is None else word == "true"


def _one_of(value: Any, known: Collection[str], place: Place) -> str:
    if value not in known:
        _refuse(place, f"{place[-1]} is '{value}'; write {' or '.join(known)}")
    return str(value)


def _refuse(place: Place, text: str) -> NoReturn:
    raise AutomationError(place, text)
