"""Whether parameters fit their schema, judged here so that Prefect's server need not.

A server told to enforce the schema judges it and the parameters at every registration, on the one core on which it
does everything else. Told nothing it enforces as well, from the first run on, and takes the deployment unjudged.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any


def conforms(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Tell whether the server would find nothing to refuse; a doubt is a no, and so is a validator not loaded yet.

    Args:
        parameters: given ones; required ones may be missing, a run can still bring them.
        schema: of all of the flow's parameters.

    """
    if loading().is_alive():
        return False
    try:
        import jsonschema  # noqa: PLC0415  see `loading`
        import referencing  # noqa: PLC0415  see `loading`

        if "$schema" in schema or not _is_schema(json.dumps(schema, sort_keys=True)):
            return False
        # With a registry of its own it fetches nothing.
        partial = jsonschema.Draft202012Validator(_without_required(schema), registry=referencing.Registry())
        return bool(partial.is_valid(parameters))
    except Exception:  # noqa: BLE001  a reference that leads nowhere, log: the server has the words for it
        return False


@cache
def loading() -> threading.Thread:
    """Return the thread that imports the validator: nobody waits for it, the server judges until then."""
    thread = threading.Thread(target=import_module, args=("jsonschema",), daemon=True)
    thread.start()
    return thread


@cache
def _is_schema(text: str) -> bool:
    """Deployments of one flow share their schema, and judging it takes longer than judging parameters."""
    import jsonschema  # noqa: PLC0415  see `loading`

    validator = jsonschema.Draft202012Validator
    return bool(validator(validator.META_SCHEMA).is_valid(json.loads(text)))


def _without_required(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if not (key == "required" and isinstance(value, list))}
        return {key: _without_required(value) for key, value in kept.items()}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema
