"""One resource that changes, field by field, as a reviewer reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from tools.summary import moments
from tools.summary.differences import ABSENT, Difference, between, secrets
from tools.summary.events import GUARDS, KUBERNETES, PREFECT, SECRET, UNKNOWN, Fields, Step

_CONNECTION: Final = ("reach", "owner")
"""Fields of Prefect resources that say where the API is and which stack owns the object, not what it is."""

_INTERNAL: Final = (f"{PREFECT}Drain", f"{GUARDS}Preflight")
"""Resources that do something during an update and are nothing that a reviewer could find afterwards."""

_ACCESS: Final = f"{GUARDS}ExactAccess"
"""Compares Roles, bindings and NetworkPolicies, which stand in the plan themselves; of interest when edited outside."""

_FILLED_IN: Final = (
    "apiVersion",
    "kind",
    "metadata.labels[app.kubernetes.io/managed-by]",
    "metadata.annotations[pulumi.",
)
"""Fields of Kubernetes objects that Pulumi fills in."""

_OMITTED: Final = ("name", "flow_name", "type", "parameter_schema", "enforce_parameter_schema", "base_job_template")
"""Fields of a new Prefect object that a reviewer learns nothing from."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One field that changes.

    Attributes:
        difference: the field.
        outside: someone edited it outside Pulumi, and it is put back.

    """

    difference: Difference
    outside: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that changes.

    Attributes:
        operation: see `Step`.
        kind: such as `deployment` or `ConfigMap`.
        name: as people know it, such as `digits/search` or `flows/prefect-worker`.
        rows: fields, none for a resource that is deleted.
        hidden: paths of secrets: the engine does not say whether they change.
        connection: how the way to the Prefect API changes, empty when it does not.
        vanished: it was deleted outside Pulumi and is created again.
        times: schedule -> its next run times, for deployments whose schedules change.

    """

    operation: str
    kind: str
    name: str
    rows: tuple[Row, ...]
    hidden: tuple[str, ...] = ()
    connection: str = ""
    vanished: bool = False
    times: Mapping[str, str]


def change(step: Step, now: datetime) -> Change:
    """Compare what a step finds with what it leaves.

    Args:
        step: of a plan.
        now: from which the next run times are computed.

    """
    old, new = _compared(step, step.old), _compared(step, step.new)
    rows = []
    if step.new is not None:
        edited = {item.path for item in between(_compared(step, step.recorded), old)} if step.recorded else set()
        items = between(old if step.old is not None else ABSENT, new)
        rows = [Row(difference=item, outside=item.path in edited) for item in items if _is_shown(step, item)]
    return Change(
        operation=step.operation,
        kind=_kind(step.type),
        name=title(step),
        rows=tuple(rows),
        hidden=tuple(secrets(new if step.new is not None else {})),
        connection=_connection(step),
        vanished=step.vanished,
        times=_times(step, rows, now) if step.type == f"{PREFECT}Deployment" else {},
    )


def is_internal(step: Step) -> bool:
    """Tell whether a resource is of no interest to a reviewer."""
    if step.type == _ACCESS:
        return step.recorded is None
    return step.type in _INTERNAL


def title(step: Step) -> str:
    """Return the name under which people know a resource."""
    inputs = step.inputs
    if step.type.startswith(PREFECT):
        parts = [inputs.get("flow_name"), inputs.get("name")]
        return "/".join(str(part) for part in parts if part and part != UNKNOWN) or step.name
    metadata = inputs.get("metadata") or {}
    parts = [metadata.get("namespace"), metadata.get("name")] if isinstance(metadata, Mapping) else []
    return "/".join(str(part) for part in parts if part and part != UNKNOWN) or step.name


def _compared(step: Step, inputs: Fields | None) -> Fields:
    fields = inputs or {}
    if step.type == f"{PREFECT}WorkPool":
        fields = _with_profiles(fields)
    if step.type.startswith(PREFECT):
        return {name: value for name, value in fields.items() if name not in _CONNECTION}
    if step.type == f"{KUBERNETES}core/v1:Secret":
        # A plain value here was not meant to be published.
        return {
            name: dict.fromkeys(value, SECRET)
            if name in ("data", "stringData") and isinstance(value, Mapping)
            else value
            for name, value in fields.items()
        }
    return fields


_DECODED: Final = (env.CEILING, env.PROFILES, env.PODS)


def _with_profiles(fields: Fields) -> Fields:
    """Show ceiling, profiles and pods of a work pool as fields of its own; its template holds them as text."""
    template = fields.get("base_job_template")
    configuration = template.get("job_configuration") if isinstance(template, Mapping) else None
    variables = configuration.get("env") if isinstance(configuration, Mapping) else None
    if (
        not isinstance(template, Mapping)
        or not isinstance(configuration, Mapping)
        or not isinstance(variables, Mapping)
    ):
        return fields
    shown: dict[str, Any] = {}
    if (ceiling := variables.get(env.CEILING)) is not None:
        shown["ceiling"] = ceiling
    try:
        profiles = json.loads(variables.get(env.PROFILES, "{}"))
        shown["profiles"] = {profile: _profile(values) for profile, values in profiles.items()}
        if text := variables.get(env.PODS):
            shown["pods"] = json.loads(text)
    except (TypeError, ValueError, AttributeError):
        return fields  # not known yet, or written by something else
    rest = {name: value for name, value in variables.items() if name not in _DECODED}
    return {
        **shown,
        **fields,
        "base_job_template": {**template, "job_configuration": {**configuration, "env": rest}},
    }


def _profile(values: Mapping[str, Any]) -> Fields:
    flat = {**values.get("sizes", {}), **{name: value for name, value in values.items() if name != "sizes"}}
    return {name: value for name, value in flat.items() if value not in ({}, [], None)}


def _connection(step: Step) -> str:
    if not step.type.startswith(PREFECT) or step.operation != "update":
        return ""
    old, new = (_mapping((inputs or {}).get("reach")) for inputs in (step.old, step.new))
    if old.get("auth", "none") != new.get("auth", "none"):
        return f"how Pulumi signs in to Prefect changes ({old.get('auth', 'none')} → {new.get('auth', 'none')})"
    return "where Pulumi reaches Prefect changes" if old != new else ""


def _mapping(value: Any) -> Fields:
    return value if isinstance(value, Mapping) else {}


def _is_shown(step: Step, item: Difference) -> bool:
    if step.type.startswith(KUBERNETES):
        return not item.path.startswith(_FILLED_IN)
    if step.old is not None:
        return True
    # Of a new object: not its title, not what follows from the code, not what is the default.
    return item.new not in ([], {}, None) and not item.path.startswith(_OMITTED)


def _kind(kind: str) -> str:
    word = kind.rpartition(":")[2].rpartition("/")[2]
    if kind == _ACCESS:
        return "access of the stack's identities"
    if not kind.startswith(PREFECT):
        return word
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in word).strip()


def _times(step: Step, rows: Iterable[Row], now: datetime) -> Mapping[str, str]:
    touched = any(row.difference.path.startswith("schedules") for row in rows)
    schedules = (step.new or {}).get("schedules")
    if not touched or not isinstance(schedules, Mapping):
        return {}
    paused = (step.new or {}).get("paused") is True
    times = {}
    for slug, schedule in schedules.items():
        if not isinstance(schedule, Mapping):
            continue
        when = moments.describe(schedule, now)
        asleep = "the deployment is paused" if paused else "paused" if schedule.get("active") is False else ""
        times[str(slug)] = f"{asleep}; when it is resumed: {when}" if asleep else when
    return times
