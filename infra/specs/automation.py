"""The specification of an automation: Prefect's schema in a normal form, so that equal automations compare equal.

The dynamic provider's process loads this module, so it imports neither Pulumi nor Prefect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Fields = dict[str, Any]

ACTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "do-nothing": {},
    "run-deployment": {
        "source": "selected",
        "deployment_id": None,
        "parameters": None,
        "job_variables": None,
        "schedule_after": 0,
    },
    "pause-deployment": {"source": "selected", "deployment_id": None},
    "resume-deployment": {"source": "selected", "deployment_id": None},
    "cancel-flow-run": {},
    "delete-flow-run": {},
    "resume-flow-run": {},
    "suspend-flow-run": {},
    "change-flow-run-state": {"state": None, "name": None, "message": None, "force": False},
    "pause-work-pool": {"source": "selected", "work_pool_id": None},
    "resume-work-pool": {"source": "selected", "work_pool_id": None},
    "pause-work-queue": {"source": "selected", "work_queue_id": None},
    "resume-work-queue": {"source": "selected", "work_queue_id": None},
    "pause-automation": {"source": "selected", "automation_id": None},
    "resume-automation": {"source": "selected", "automation_id": None},
    "send-notification": {
        "block_document_id": None,
        "subject": "Prefect automated notification",
        "body": None,
    },
    "call-webhook": {"block_document_id": None, "payload": ""},
    "declare-incident": {},
}
"""Type of action -> its fields with Prefect's defaults, from prefect/server/events/actions.py."""

_RESOURCE: Final[Mapping[str, Any]] = {"match": {}, "match_related": {}}
TRIGGERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "event": {
        **_RESOURCE,
        "after": [],
        "expect": [],
        "for_each": [],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
    },
    "metric": {**_RESOURCE, "posture": "Metric", "metric": None},
    "compound": {"triggers": [], "require": None, "within": None},
    "sequence": {"triggers": [], "within": None},
}
"""Type of trigger -> its fields with Prefect's defaults, from prefect/server/events/schemas/automations.py."""

_METRIC: Final = {"range": 300, "firing_for": 300}

SETS: Final = ("after", "expect", "for_each")
"""Fields of an event trigger that are sets: Prefect does not keep their order."""

SHORTEST_SILENCE: Final = 10
"""Seconds: the shortest and the default `within` of a proactive trigger."""


@dataclass(frozen=True, kw_only=True)
class AutomationSpec:
    """A Prefect automation.

    Attributes:
        name: unique within the deployment for a trigger of prefect.yaml, else within the stack.
        trigger: in Prefect's schema.
        actions: in Prefect's schema; an action may name a deployment, work pool or work queue (`deployment`,
            `work_pool`, `work_queue`) instead of its id.
        actions_on_trigger: further actions when the trigger fires.
        actions_on_resolve: actions when the trigger resolves.
        description: shown in Prefect's UI.
        enabled: None keeps what a person has set in Prefect; a new automation is enabled.
        tags: labels in Prefect's UI.
        secret: whether the actions hold a value from the environment.

    """

    name: str
    trigger: Mapping[str, Any]
    actions: tuple[Mapping[str, Any], ...]
    actions_on_trigger: tuple[Mapping[str, Any], ...] = ()
    actions_on_resolve: tuple[Mapping[str, Any], ...] = ()
    description: str = ""
    enabled: bool | None = None
    tags: tuple[str, ...] = field(default=())
    secret: bool = False


def kind_of_trigger(raw: Mapping[str, Any]) -> str:
    """Return the type of a trigger; a missing type is derived as Prefect does."""
    if raw.get("type") is not None:
        return str(raw["type"])
    if raw.get("posture") == "Metric":
        return "metric"
    if "triggers" in raw:
        return "compound" if "require" in raw else "sequence"
    return "event"


def normal_trigger(raw: Mapping[str, Any]) -> Fields:
    """Return a trigger without what Prefect adds: defaults, ids, the order of sets."""
    kind = kind_of_trigger(raw)
    fields = _without_defaults(raw, TRIGGERS.get(kind, {}))
    for name in SETS:
        if name in fields:
            fields[name] = sorted(set(fields[name]))
    if fields.get("posture") == "Proactive" and _whole(fields.get("within", SHORTEST_SILENCE)) == SHORTEST_SILENCE:
        fields.pop("within", None)
    if "metric" in fields:
        fields["metric"] = {name: _whole(value) for name, value in {**_METRIC, **fields["metric"]}.items()}
    if "triggers" in fields:
        fields["triggers"] = [normal_trigger(child) for child in fields["triggers"]]
    return {"type": kind, **fields}


def full_trigger(normal: Mapping[str, Any]) -> Fields:
    """Return a normal trigger with its defaults filled in, some of which Prefect's server requires."""
    fields = {**TRIGGERS.get(normal["type"], {}), **normal}
    if fields.get("posture") == "Proactive":
        fields["within"] = normal.get("within", SHORTEST_SILENCE)
    if "triggers" in fields:
        fields["triggers"] = [full_trigger(child) for child in fields["triggers"]]
    return fields


def normal_action(raw: Mapping[str, Any]) -> Fields:
    """Return an action without what Prefect adds."""
    kind = str(raw["type"])
    return {"type": kind, **_without_defaults(raw, ACTIONS.get(kind, dict.fromkeys(raw)))}


def _without_defaults(raw: Mapping[str, Any], defaults: Mapping[str, Any]) -> Fields:
    # Fields that only a newer Prefect has are left out, so they are not drift.
    fields = {name: _whole(raw[name]) for name in defaults if name != "type" and raw.get(name) is not None}
    return {name: value for name, value in fields.items() if value != defaults[name]}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
