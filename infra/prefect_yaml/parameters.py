"""Checks parameters of a deployment, a schedule, a trigger or a stack's override against the flow's signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.flow_signature.conversion import converted
from infra.flow_signature.validate import schema_error
from infra.prefect_yaml.document import nearest
from infra.prefect_yaml.flow import Flow
from infra.prefect_yaml.templating import has_placeholder


def parameter_errors(parameters: Mapping[str, Any], flow: Flow, *, enforce: bool) -> list[str]:
    """Return one message for each name that the flow does not have and each value that its type does not accept.

    A part of a model is accepted, as by Prefect: a run may give the whole. `incomplete` is for scheduled runs.

    Args:
        parameters: name -> value.
        flow: the flow.
        enforce: whether values are checked as well.

    """
    optional = _without_required(flow.schema)
    errors = []
    for name, value in parameters.items():
        if name not in flow.parameters:
            errors.append(f"the flow has no parameter '{name}'; {nearest(name, flow.parameters)}")
        elif enforce and name in flow.schema["properties"] and not has_placeholder(value):
            error = schema_error(value, optional["properties"][name], optional)
            errors += [f"{_about(name, error)}; correct it"] if error else []
    return errors


def conversions(parameters: Mapping[str, Any], flow: Flow) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a schedule as its runs will have them, and a message for each that is converted.

    Prefect's server does not check what a schedule passes on, so text in place of a number becomes one in the run.

    Args:
        parameters: name -> value.
        flow: the flow.

    """
    schema, values, messages = _without_required(flow.schema), dict(parameters), list[str]()
    for name, value in parameters.items():
        field = schema["properties"].get(name)
        if field is None or has_placeholder(value) or not (problem := schema_error(value, field, schema)):
            continue
        values[name] = converted(value, field, schema)
        if not schema_error(values[name], field, schema):
            messages.append(f"{_about(name, problem)}; a schedule may pass it on, and a run by hand would be refused")
    return values, messages


def incomplete(
    parameters: Mapping[str, Any], schema: Mapping[str, Any], *, enforce: bool, optional: Sequence[str] = ()
) -> Iterator[str]:
    """Yield one message for each parameter without which a run that no person starts certainly fails.

    Args:
        parameters: all that the run gets.
        schema: of all parameters of the flow.
        enforce: whether values are checked as well.
        optional: names that may be missing although the schema requires them.

    """
    for name in schema.get("required", []):
        if name not in parameters and name not in optional:
            yield f"'{name}' has no default and no value, so every run would fail; write it below `parameters`"
    for name, value in parameters.items() if enforce else ():
        if name in schema["properties"] and not has_placeholder(value):
            error = schema_error(value, schema["properties"][name], schema)
            if error and not schema_error(
                value, _without_required(schema)["properties"][name], _without_required(schema)
            ):
                yield f"{_about(name, error)}, so every run would fail; add it"


def _about(name: str, error: str) -> str:
    """Put the name before an error, which begins with the path of a part of the value if it is about a part."""
    path, _, rest = error.partition(" ")
    return f"'{name}{path}' {rest}" if path.startswith((".", "[")) else f"'{name}' {error}"


def _without_required(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if not (key == "required" and isinstance(value, list))}
        return {key: _without_required(value) for key, value in kept.items()}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema
