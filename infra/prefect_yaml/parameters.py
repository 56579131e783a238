"""Checks parameters of a deployment, a schedule, a trigger or a stack's override against the flow's signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.flow_signature.schema import names
from infra.flow_signature.source import FlowSource
from infra.flow_signature.validate import schema_error
from infra.prefect_yaml.document import nearest
from infra.prefect_yaml.templating import has_placeholder


def parameter_errors(
    parameters: Mapping[str, Any], schema: Mapping[str, Any], source: FlowSource, *, enforce: bool
) -> list[str]:
    """Return one message for each name that the flow does not have and each value that its type does not accept.

    Args:
        parameters: name -> value.
        schema: of all parameters of the flow.
        source: the flow.
        enforce: whether values are checked as well.

    """
    known, accepts_others = names(source)
    errors = []
    for name, value in parameters.items():
        if name not in known and not accepts_others:
            errors.append(f"the flow has no parameter '{name}'; {nearest(name, known)}")
        elif enforce and name in schema["properties"] and not has_placeholder(value):
            error = schema_error(value, schema["properties"][name], schema)
            errors += [f"'{name}' {error}; correct it"] if error else []
    return errors
