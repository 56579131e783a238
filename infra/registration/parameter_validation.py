"""Validates parameters against their schema here, so that Prefect's server need not.

With `enforce_parameter_schema: true` the server validates schema and parameters at every registration, on the core that
serves all other requests. If the field is omitted, the server still enforces the schema for each run, but skips the
validation at registration.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any


def conforms(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Return whether the server would accept the parameters; False if in doubt or if the validator is not loaded yet.

    Args:
        parameters: name -> value; required ones may be missing, because a run can set them.
        schema: JSON schema of all parameters of the flow.

    """
    if loading().is_alive():
        return False
    try:
        import jsonschema  # noqa: PLC0415  see `loading`
        import referencing  # noqa: PLC0415  see `loading`

        if "$schema" in schema or not _is_schema(json.dumps(schema, sort_keys=True)):
            return False
        # With an empty registry it fetches no remote references.
        partial = jsonschema.Draft202012Validator(_without_required(schema), registry=referencing.Registry())
        return bool(partial.is_valid(parameters))
    except Exception:  # noqa: BLE001  such as an unresolvable reference: the server reports it
        return False


@cache
def loading() -> threading.Thread:
    """Return the thread that imports the validator; until it has ended, the server validates."""
    thread = threading.Thread(target=import_module, args=("jsonschema",), daemon=True)
    thread.start()
    return thread


@cache
def _is_schema(text: str) -> bool:
    """Return whether the text is a valid schema; cached, because deployments of a flow share their schema."""
    import jsonschema  # noqa: PLC0415  see `loading`

    validator = jsonschema.Draft202012Validator
    return bool(validator(validator.META_SCHEMA).is_valid(json.loads(text)))


def _without_required(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        optional = {key: value for key, value in schema.items() if not (key == "required" and isinstance(value, list))}
        return {key: _without_required(value) for key, value in optional.items()}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema
