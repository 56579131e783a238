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

_judged: dict[str, bool] = {}
_lock = threading.Lock()


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

        # With a registry of its own it fetches nothing.
        partial = jsonschema.Draft202012Validator(_without_required(schema), registry=referencing.Registry())
        return _is_schema(schema) and partial.is_valid(parameters)
    except Exception:  # noqa: BLE001  a reference that leads nowhere, say: the server has the words for it
        return False


@cache
def loading() -> threading.Thread:
    """Return the thread that imports the validator: nobody waits for that tenth of a second."""
    thread = threading.Thread(target=import_module, args=("jsonschema",), daemon=True)
    thread.start()
    return thread


def _is_schema(schema: Mapping[str, Any]) -> bool:
    """Deployments of one flow share their schema, and judging it takes longer than judging parameters."""
    import jsonschema  # noqa: PLC0415  see `loading`

    text = json.dumps(schema, sort_keys=True)
    with _lock:
        if text not in _judged:
            validator = jsonschema.Draft202012Validator
            _judged[text] = "$schema" not in schema and validator(validator.META_SCHEMA).is_valid(schema)
        return _judged[text]


def _without_required(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if not (key == "required" and isinstance(value, list))}
        return {key: _without_required(value) for key, value in kept.items()}
    return [_without_required(item) for item in schema] if isinstance(schema, list) else schema
