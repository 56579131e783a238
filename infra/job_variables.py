"""The job variables of a work pool: a JSON schema, by which Prefect checks those of a run, and a check of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ephemeral_dask.contract import knobs, quantities, reserved
from infra.flow_signature.validate import schema_error
from infra.settings import Dask, FlowRun, JobVariable

_QUANTITIES: Final[Mapping[str, Callable[[str], object]]] = {
    "cpu_request": quantities.cores,
    "cpu_limit": quantities.cores,
    "memory_request": quantities.memory_bytes,
    "memory_limit": quantities.memory_bytes,
}
"""Job variables of the flow pod that are quantities, and what reads one."""


def of_one_pool(variables: Mapping[str, JobVariable]) -> dict[str, Any]:
    """Return the JSON schemas, by name, of the variables that a work pool has beside those."""
    return {name: {"title": name.replace("_", " ").title(), **each.contract()} for name, each in variables.items()}


def of_every_pool(flow_run: FlowRun, dask: Dask, cpu_limit: str, sources: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON schema of the variables that every work pool has, but for the default of `image`.

    Args:
        flow_run: defaults of the flow pod.
        dask: defaults and ceiling of the Dask cluster.
        cpu_limit: of the flow pod; empty for none.
        sources: beginnings of the references that `image` may have; any if empty.

    """
    text, quantity = {"type": "string"}, quantities.SCHEMA
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    own_names = {"propertyNames": {"not": {"pattern": reserved.variable_pattern()}}}
    own_labels = {"propertyNames": {"not": {"pattern": reserved.label_pattern()}}}
    properties: dict[str, Any] = {
        "name": _variable("Name", "Name of the Job. Kubernetes adds a suffix.", text),
        "env": _variable(
            "Environment Variables",
            "Environment variables of the flow pod, the Dask scheduler and the Dask workers.",
            {**strings, **own_names},
        ),
        "labels": _variable("Labels", "Labels of the Job and its pod.", {**strings, **own_labels}),
        "annotations": _variable("Annotations", "Annotations of the Job and its pod.", strings),
        "command": _variable("Command", "Command of the flow pod. Leave it empty to run the flow.", text),
        "image": _variable(
            "Image",
            "Image of the flow pod, the Dask scheduler and the Dask workers.",
            {**text, "pattern": _image_pattern(sources)},
        ),
        "image_pull_policy": _variable(
            "Image Pull Policy",
            "IfNotPresent is enough for images that are referenced by digest.",
            {"type": "string", "enum": ["IfNotPresent", "Always", "Never"]},
            default="IfNotPresent",
        ),
        "finished_job_ttl": _variable(
            "Finished Job TTL",
            "Seconds until a finished Job is deleted, together with its Dask cluster if that still exists.",
            {"type": "integer", "minimum": 0},
            default=flow_run.finished_job_ttl,
        ),
        "active_deadline": _variable(
            "Active Deadline",
            "Seconds after which Kubernetes stops the Job.",
            {"type": "integer", "minimum": 1},
            **({} if flow_run.active_deadline is None else {"default": flow_run.active_deadline}),
        ),
        "cpu_request": _variable(
            "CPU Request",
            "CPU request of the flow pod as a Kubernetes quantity, such as 500m or 2.",
            quantity,
            default=flow_run.cpu_request,
        ),
        "cpu_limit": _variable(
            "CPU Limit",
            "CPU limit of the flow pod; none when unset.",
            quantity,
            **({"default": cpu_limit} if cpu_limit else {}),
        ),
        "memory_request": _variable(
            "Memory Request",
            "Memory request of the flow pod as a Kubernetes quantity, such as 2Gi.",
            quantity,
            default=flow_run.memory_request,
        ),
        "memory_limit": _variable(
            "Memory Limit", "Memory limit of the flow pod.", quantity, default=flow_run.memory_limit
        ),
    }
    for knob in knobs.JOB_VARIABLES:
        schema = knob.schema()
        description = knob.help
        if knob in (knobs.MINIMUM, knobs.MAXIMUM):
            schema["maximum"] = dask.ceiling
        if knob is knobs.PROFILE:
            schema |= {"enum": sorted(dask.profiles)} if dask.profiles else {}
        else:
            # Not a `default`: it would hide what the flow's code sets.
            description += f" Default: what the flow's code sets, else {getattr(dask, knob.argument)}."
        properties[knob.name] = _variable(knob.title, description, schema)
    return {"type": "object", "properties": properties}


def _image_pattern(sources: tuple[str, ...]) -> str:
    """Return the regular expression of an image's reference, or of a placeholder, which Prefect fills in later."""
    first = f"({'|'.join(map(re.escape, sources))})" if sources else "[A-Za-z0-9]"
    return f"^({first}[A-Za-z0-9._/:@-]*|.*\\{{\\{{.*\\}}\\}}.*)$"


def _variable(title: str, description: str, schema: Mapping[str, Any], **default: Any) -> dict[str, Any]:
    return {"title": title, "description": description, **schema, **default}


def value_error(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Return what is wrong with the value of a known job variable, to be read after its name, or an empty string."""
    for knob in (knobs.WORKER_CPU, knobs.WORKER_MEMORY):
        if name == knob.name:
            try:
                knob.check(value)
            except ValueError as error:
                return str(error)
    if name in _QUANTITIES:
        try:
            _QUANTITIES[name](str(quantities.text(value)))
        except ValueError as error:
            return f"must be a Kubernetes quantity above zero, such as 500m or 2Gi ({error})"
    if name == "env" and isinstance(value, dict) and (errors := reserved.variable_errors(value)):
        return "; ".join(errors)
    if name == "labels" and isinstance(value, dict):
        taken = [each for each in value if re.search(reserved.label_pattern(), str(each))]
        if taken:
            return f"contains {taken[0]}, which the platform sets: remove it"
    origin = "the stack's dask.ceiling" if name in (knobs.MINIMUM.name, knobs.MAXIMUM.name) else ""
    mismatch = schema_error(value, schema["properties"][name], schema, bound_origin=origin)
    if mismatch and name == "image" and isinstance(value, str):
        return f"must be the reference of an image that the work pool takes: it {mismatch}"
    return mismatch
