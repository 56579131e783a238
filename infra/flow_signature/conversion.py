"""What a flow makes of a value of another type when it starts: pydantic reads a number out of text.

Prefect's server refuses such a value when a person starts a run, and takes it from a schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.flow_signature.validate import referenced, schema_error

_WORDS: Final = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "off", "f", "false", "n", "no"), False),
}


def converted(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return a value as the flow will have it, or as it is where nothing is converted.

    Args:
        value: of the parameter.
        schema: of the parameter.
        root: schema of all parameters, which `$ref` refers to.

    """
    if "$ref" in schema:
        schema = referenced(schema["$ref"], root) or {}
    for option in schema.get("anyOf", ()):
        candidate = converted(value, option, root)
        if not schema_error(candidate, option, root):
            return candidate
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [converted(item, items, root) for item in value]
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        return {key: converted(item, fields[key], root) if key in fields else item for key, item in value.items()}
    return _scalar(value, schema.get("type"))


def _scalar(value: Any, kind: Any) -> Any:
    try:
        if kind == "boolean" and not isinstance(value, bool):
            return _WORDS.get(value.lower() if isinstance(value, str) else str(value), value)
        if kind in ("integer", "number") and isinstance(value, str | bool):
            number = float(value)
            return int(number) if kind == "integer" and number.is_integer() else number
    except ValueError:
        pass
    return value
