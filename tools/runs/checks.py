"""Parameters and job variables against what the deployment and its work pool accept, before a run exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from prefect.utilities.schema_tools.validation import validate

from tools.errors import Problem
from tools.runs.arguments import Value
from tools.runs.deployments import did_you_mean

_BOUNDED: Final = {"dask_minimum", "dask_maximum"}
"""Job variables whose upper bound in the template is the stack's ceiling."""


def check_parameters(
    values: Mapping[str, Value], schema: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the run's parameters.

    Args:
        values: as they were typed.
        schema: of the flow's parameters, as the deployment has it; may be empty when the server knows none.
        defaults: the deployment's own parameters.

    Raises:
        Problem: naming every parameter that the flow does not have, that is missing or whose value does not fit.

    """
    properties = schema.get("properties")
    if properties is None:
        return {name: value.json for name, value in values.items()}
    errors = [
        f"the flow has no parameter '{name}'{_instead(name, properties)}" for name in values if name not in properties
    ]
    fitting = {name: _fitting(value, properties[name], schema) for name, value in values.items() if name in properties}
    errors += [
        f"parameter '{name}' is required"
        for name in schema.get("required", [])
        if name not in fitting and name not in defaults
    ]
    for name, value in fitting.items():
        errors += [f"parameter '{name}'{why}" for why in _errors(value, properties[name], schema)]
    if errors:
        _refuse("PARAMS does not fit the flow", errors, "Correct PARAMS; no run was started")
    return fitting


def check_variables(values: Mapping[str, Value], template: Mapping[str, Any], pool: str) -> dict[str, Any]:
    """Return the run's job variables.

    Prefect lets an unknown job variable pass, and it then has no effect.

    Args:
        values: as they were typed.
        template: the work pool's base job template.
        pool: the work pool's name.

    Raises:
        Problem: naming every job variable that the template does not have or whose value does not fit.

    """
    schema = template.get("variables", {})
    properties = schema.get("properties")
    if properties is None:
        return {name: value.json for name, value in values.items()}
    errors, fitting = [], {}
    for name, value in values.items():
        if name not in properties:
            errors.append(f"work pool '{pool}' has no job variable '{name}'{_instead(name, properties)}")
            continue
        fitting[name] = _fitting(value, properties[name], schema)
        ceiling = properties[name].get("maximum")
        if name in _BOUNDED and ceiling is not None and isinstance(value.json, int) and value.json > ceiling:
            errors.append(f"{name} {value.json} is above the stack's dask.ceiling ({ceiling})")
        else:
            errors += [f"job variable '{name}'{why}" for why in _errors(fitting[name], properties[name], schema)]
    if errors:
        _refuse("VARS does not fit the work pool", errors, "Correct VARS; no run was started")
    return fitting


def _fitting(value: Value, schema: Any, top: Mapping[str, Any]) -> Any:
    """Return how the value was written where that fits and what JSON makes of it does not: a string is asked for."""
    if value.text is not None and _errors(value.json, schema, top) and not _errors(value.text, schema, top):
        return value.text
    return value.json


def _errors(value: Any, schema: Any, top: Mapping[str, Any]) -> list[str]:
    """Return what Prefect's own validation says about one value, to be read after its name."""
    shared = {key: top[key] for key in ("definitions", "$defs") if key in top}
    wrapped: dict[str, Any] = {"type": "object", "properties": {"value": schema}, **shared}
    errors = validate({"value": value}, wrapped)
    return [f"{error.json_path.removeprefix('$.value')}: {error.message}" for error in errors]


def _instead(name: str, properties: Mapping[str, Any]) -> str:
    if not properties:
        return ", and takes none"
    return did_you_mean(name, properties) or f"; known are {', '.join(properties)}"


def _refuse(what: str, errors: list[str], remedy: str) -> NoReturn:
    raise Problem(what, remedy=remedy, detail="\n".join(f"  {error}" for error in errors))
