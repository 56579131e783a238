"""Triggers and actions of automations, checked as far as possible without a server.

Two files have the same schema: prefect.yaml below a deployment's `triggers`, and the stack's file below `automations`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NoReturn

from infra.prefect_yaml import duration, values
from infra.prefect_yaml.document import Place, nearest
from infra.specs.automation import ACTIONS, SETS, SHORTEST_SILENCE, TRIGGERS, AutomationSpec, kind_of_trigger

DEPLOYMENT_TRIGGER_KEYS: Final = ("name", "description", "enabled", "parameters", "job_variables", "schedule_after")
"""Keys of a trigger in prefect.yaml that describe its automation and the run that it starts."""

NAME_KEYS: Final = {"deployment_id": "deployment", "work_pool_id": "work_pool", "work_queue_id": "work_queue"}
"""Id in an action -> key with which a stack's file may name the object instead."""

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
"""Seconds: the shortest `range` and `firing_for` that Prefect accepts."""


class AutomationError(Exception):
    """A trigger or an action is not valid. The text says why and what to do.

    Attributes:
        place: keys and indices from the trigger or action to the wrong value.

    """

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def parse_deployment_trigger(
    raw: Any, number: int, deployment: str, *, warn: Callable[[Place, str], None]
) -> AutomationSpec:
    """Read one of a deployment's triggers.

    Args:
        raw: the trigger as prefect.yaml has it.
        number: its position in the list from 1, for the name of a trigger without one, as in Prefect.
        deployment: name of the deployment. The action that runs it gets the deployment's id at registration.
        warn: takes place and sentence about what Prefect ignores.

    Raises:
        AutomationError: the first error.

    """
    trigger = parse_trigger(_without_ignored(raw, (), DEPLOYMENT_TRIGGER_KEYS, warn), (), DEPLOYMENT_TRIGGER_KEYS)
    if "name" in raw and not raw["name"]:
        warn(("name",), f"the name is empty, so it is registered as '{deployment}__automation_{number}'; write one")
    action: dict[str, Any] = {"type": "run-deployment"}
    for key in ("parameters", "job_variables"):
        if raw.get(key) is not None:
            action[key] = _mapping(raw[key], (key,))
    if raw.get("schedule_after") is not None:
        action["schedule_after"] = _seconds(raw["schedule_after"], ("schedule_after",))
    return AutomationSpec(
        name=str(raw.get("name") or f"{deployment}__automation_{number}"),
        description=str(raw.get("description") or ""),
        enabled=_boolean(raw.get("enabled"), ("enabled",)),
        trigger=trigger,
        actions=(action,),
    )


def _without_ignored(raw: Any, place: Place, others: Collection[str], warn: Callable[[Place, str], None]) -> Any:
    """Return a trigger without the keys that Prefect ignores silently, and warn about each of them."""
    if not isinstance(raw, dict) or kind_of_trigger(raw) not in TRIGGERS:
        return raw
    known = [*TRIGGERS[kind := kind_of_trigger(raw)], *others, "type"]
    kept = {key: value for key, value in raw.items() if key in known}
    for key in [key for key in raw if key not in known]:
        hint = near if (near := nearest(str(key), known)).startswith("did") else "remove it"
        warn((*place, key), f"'{key}' has no effect below a trigger of type {kind}; {hint}")
    if isinstance(kept.get("triggers"), list):
        children = enumerate(kept["triggers"])
        kept["triggers"] = [_without_ignored(each, (*place, "triggers", index), (), warn) for index, each in children]
    return kept


def parse_trigger(raw: Any, place: Place = (), others: Collection[str] = ()) -> dict[str, Any]:
    """Check a trigger and return it, with durations in seconds.

    Args:
        raw: the trigger as the file has it.
        place: its place within what the caller reads.
        others: further keys that it may have, which the caller reads.

    Raises:
        AutomationError: the first error.

    """
    section = _mapping(raw, place)
    kind = kind_of_trigger(section)
    if kind not in TRIGGERS:
        _refuse((*place, "type"), f"no trigger has type '{kind}'; {nearest(kind, TRIGGERS)}")
    known = TRIGGERS[kind]
    for key in section:
        if key not in known and key not in others and key != "type":
            _refuse((*place, key), f"a trigger of type {kind} has no key '{key}'; {nearest(key, [*known, *others])}")
    fields = {"type": kind, **{key: section[key] for key in known if section.get(key) is not None}}
    _check_labels(fields, place)
    if kind == "event":
        return _event(fields, place)
    if kind == "metric":
        return {**fields, "metric": _metric(fields.get("metric"), (*place, "metric"))}
    return _composite(fields, place)


def parse_action(raw: Any, place: Place = ()) -> dict[str, Any]:
    """Check an action and return it.

    Args:
        raw: the action as the file has it.
        place: its place within what the caller reads.

    Raises:
        AutomationError: the first error.

    """
    section = _mapping(raw, place)
    kind = str(section.get("type"))
    if kind not in ACTIONS:
        _refuse((*place, "type"), f"no action has type '{kind}'; {nearest(kind, ACTIONS)}")
    known = {*ACTIONS[kind], *(NAME_KEYS[key] for key in ACTIONS[kind] if key in NAME_KEYS)}
    for key in section:
        if key not in known and key != "type":
            _refuse((*place, key), f"an action of type {kind} has no key '{key}'; {nearest(key, known)}")
    fields = {key: value for key, value in section.items() if value is not None}
    if "source" in known:
        _check_target(fields, kind, place)
    for key in ("body", "state"):
        if key in known and not fields.get(key):
            _refuse(place, f"an action of type {kind} needs {key}; write it")
    if "block_document_id" in known:
        _check_id(fields, "block_document_id", kind, place)
    if "state" in known:
        fields["state"] = _one_of(str(fields["state"]).upper(), _STATES, (*place, "state"))
    for key in ("parameters", "job_variables"):
        if key in fields:
            _mapping(fields[key], (*place, key))
    if "schedule_after" in fields:
        fields["schedule_after"] = _seconds(fields["schedule_after"], (*place, "schedule_after"))
    return fields


def _event(fields: dict[str, Any], place: Place) -> dict[str, Any]:
    for key in SETS:
        names = fields.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            _refuse((*place, key), f"{key} must be a list of events; write `- prefect.flow-run.Completed` below it")
    posture = _one_of(fields.get("posture", "Reactive"), ("Reactive", "Proactive"), (*place, "posture"))
    if "threshold" in fields:
        fields["threshold"] = _integer(fields["threshold"], None, (*place, "threshold"))
    if "within" in fields:
        fields["within"] = _seconds(fields["within"], (*place, "within"))
    if posture == "Proactive" and 0 < fields.get("within", 0) < SHORTEST_SILENCE:
        text = f"a proactive trigger waits at least {SHORTEST_SILENCE} seconds; write `within: 10` or more"
        _refuse((*place, "within"), text)
    if posture == "Proactive" and not fields.get("within"):
        fields.pop("within", None)
    return fields


def _composite(fields: dict[str, Any], place: Place) -> dict[str, Any]:
    children = fields.get("triggers")
    if not isinstance(children, list) or not children:
        _refuse(
            (*place, "triggers"), "triggers must be a list of at least one trigger; write `- expect: [...]` below it"
        )
    fields["triggers"] = [parse_trigger(child, (*place, "triggers", index)) for index, child in enumerate(children)]
    if "within" in fields:
        fields["within"] = _seconds(fields["within"], (*place, "within"))
    if fields["type"] == "compound":
        require = fields.get("require")
        if require not in ("any", "all"):
            number = _integer(require, 1, (*place, "require"), "any, all or an integer of at least 1")
            if number > len(children):
                text = f"require is {number}, and there are {len(children)} triggers; write a lower number, any or all"
                _refuse((*place, "require"), text)
            fields["require"] = number
    return fields


def _metric(raw: Any, place: Place) -> dict[str, Any]:
    fields = _mapping(raw, place)
    for key in fields:
        if key not in _METRIC_KEYS:
            _refuse((*place, key), f"a metric has no key '{key}'; {nearest(key, _METRIC_KEYS)}")
    if (threshold := values.number(fields.get("threshold"))) is None:
        _refuse((*place, "threshold"), "threshold must be a number")
    spans = {key: _seconds(fields.get(key, _SHORTEST_QUERY), (*place, key)) for key in ("range", "firing_for")}
    for key, value in spans.items():
        if value < _SHORTEST_QUERY:
            _refuse((*place, key), f"{key} must be at least {_SHORTEST_QUERY} seconds")
    return {
        "name": _one_of(fields.get("name"), _METRICS, (*place, "name")),
        "operator": _one_of(fields.get("operator"), _OPERATORS, (*place, "operator")),
        "threshold": threshold,
        **spans,
    }


def _check_labels(fields: Mapping[str, Any], place: Place) -> None:
    for key in ("match", "match_related"):
        value = fields.get(key, {})
        several = value if isinstance(value, list) and key == "match_related" else [value]
        if not all(_are_labels(item) for item in several):
            text = f"{key} must be a mapping of labels; write `prefect.resource.id: prefect.flow-run.*` below it"
            _refuse((*place, key), text)


def _are_labels(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, str) or (isinstance(item, list) and all(isinstance(part, str) for part in item))
        for item in value.values()
    )


def _check_target(fields: dict[str, Any], kind: str, place: Place) -> None:
    target = next(key for key in ACTIONS[kind] if key.endswith("_id"))
    name = NAME_KEYS.get(target)
    source = _one_of(fields.get("source", "selected"), ("selected", "inferred"), (*place, "source"))
    named = [key for key in (target, name) if key and key in fields]
    ways = f"{name} or {target}" if name else target
    if source == "inferred" and named:
        _refuse((*place, named[0]), f"source is inferred, so {named[0]} has no effect; remove one of them")
    if source == "selected" and len(named) != 1:
        _refuse(place, f"an action of type {kind} needs one of {ways}, or `source: inferred`; write one")
    if target in fields:
        _check_id(fields, target, kind, place)


def _check_id(fields: Mapping[str, Any], key: str, kind: str, place: Place) -> None:
    try:
        uuid.UUID(str(fields.get(key)))
    except ValueError:
        _refuse(
            (*place, key) if key in fields else place,
            f"an action of type {kind} needs {key}, a UUID in Prefect",
        )


def _mapping(value: Any, place: Place) -> dict[str, Any]:
    try:
        # Unlike an optional value of a deployment, a trigger or an action that is null is an error.
        return values.mapping(str(place[-1]) if place else "this", "null" if value is None else value)
    except ValueError as error:
        raise AutomationError(place, str(error)) from None


def _seconds(value: Any, place: Place) -> float:
    seconds = duration.seconds(value)
    if seconds is None or seconds < 0:
        _refuse(place, f"{place[-1]} '{value}' must be a duration; write seconds, PT1H or 01:00:00")
    return seconds


def _integer(value: Any, least: int | None, place: Place, allowed: str = "an integer") -> int:
    if (whole := values.integer(value)) is None or (least is not None and whole < least):
        _refuse(place, f"{place[-1]} is '{value}'; write {allowed}")
    return whole


def _boolean(value: Any, place: Place) -> bool | None:
    try:
        return values.boolean(str(place[-1]), value)
    except ValueError as error:
        raise AutomationError(place, str(error)) from None


def _one_of(value: Any, known: Collection[str], place: Place) -> str:
    if value not in known:
        _refuse(place, f"{place[-1]} is '{value}'; write {' or '.join(known)}")
    return str(value)


def _refuse(place: Place, text: str) -> NoReturn:
    raise AutomationError(place, text)
