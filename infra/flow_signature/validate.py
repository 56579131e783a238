"""A value against a JSON schema, as far as schemas of parameters and job variables go.

Keywords that are not known here are passed over: what is let through too easily, Prefect's server still refuses.
The full validator takes half a second to import, which every preview would pay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _number(value) and float(value).is_integer(),
    "number": lambda value: _number(value),  # noqa: PLW0108  defined below
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_BOUNDS: Final[Mapping[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "minimum": ("below", lambda value, bound: value >= bound),
    "maximum": ("above", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("not above", lambda value, bound: value > bound),
    "exclusiveMaximum": ("not below", lambda value, bound: value < bound),
}


def complaint(value: Any, schema: Mapping[str, Any] | bool, top: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, to be read after its name, or nothing.

    Values are not repeated: they may be secret.

    Args:
        value: of JSON's types.
        schema: that it should fit.
        top: the schema in which references are looked up.

    """
    if isinstance(schema, bool):
        return "" if schema else "is not allowed"
    if "$ref" in schema:
        found = _referenced(str(schema["$ref"]), top)
        return complaint(value, found, top) if found is not None else ""
    return _of_itself(value, schema) or _of_parts(value, schema, top) or _of_choices(value, schema, top)


def _of_itself(value: Any, schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        return f"is no {' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"is none of {', '.join(map(str, schema['enum']))}"
    if "const" in schema and value != schema["const"]:
        return f"is not {schema['const']}"
    if isinstance(value, str):
        return _of_text(value, schema)
    if _number(value):
        for keyword, (word, holds) in _BOUNDS.items():
            if _number(schema.get(keyword)) and not holds(value, schema[keyword]):
                return f"is {word} {schema[keyword]}"
    return ""


def _of_text(value: str, schema: Mapping[str, Any]) -> str:
    if len(value) < schema.get("minLength", 0):
        return f"is shorter than {schema['minLength']}"
    if len(value) > schema.get("maxLength", len(value)):
        return f"is longer than {schema['maxLength']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"does not match {schema['pattern']}"
    return ""


def _of_parts(value: Any, schema: Mapping[str, Any], top: Mapping[str, Any]) -> str:
    if isinstance(value, dict):
        return _of_object(value, schema, top)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(value):
            if why := complaint(item, schema["items"], top):
                return f"[{index}] {why}"
    return ""


def _of_object(value: Mapping[str, Any], schema: Mapping[str, Any], top: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            return f"lacks '{name}'"
    for name, item in value.items():
        inner = properties.get(name, schema.get("additionalProperties", True))
        if why := complaint(item, inner, top):
            return f".{name} {why}"
    return ""


def _of_choices(value: Any, schema: Mapping[str, Any], top: Mapping[str, Any]) -> str:
    for inner in schema.get("allOf", []):
        if why := complaint(value, inner, top):
            return why
    for keyword in ("anyOf", "oneOf"):
        whys = [complaint(value, inner, top) for inner in schema.get(keyword, [])]
        if whys and all(whys):
            return ", ".join(dict.fromkeys(whys))
    return ""


def _referenced(reference: str, top: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Any = top
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
