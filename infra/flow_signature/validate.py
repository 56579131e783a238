"""Checks a value against a JSON schema, with the keywords that schemas of parameters and job variables use.

Unknown keywords are ignored: Prefect's server validates again and refuses what passes here by mistake. The full
validator (`jsonschema`) takes half a second to import, which every preview would pay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "string": ("a string", lambda value: isinstance(value, str)),
    "integer": ("an integer", lambda value: _is_number(value) and float(value).is_integer()),
    "number": ("a number", lambda value: _is_number(value)),  # noqa: PLW0108  defined below
    "boolean": ("a boolean", lambda value: isinstance(value, bool)),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("an array", lambda value: isinstance(value, list)),
    "null": ("null", lambda value: value is None),
}
"""JSON type -> its name in a message, and its test."""

_BOUNDS: Final[Mapping[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "minimum": ("is below {}", lambda value, bound: value >= bound),
    "maximum": ("is above {}", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("must be above {}", lambda value, bound: value > bound),
    "exclusiveMaximum": ("must be below {}", lambda value, bound: value < bound),
}
"""Keyword -> message, and whether a value keeps the bound."""


def schema_error(
    value: Any, schema: Mapping[str, Any] | bool, root: Mapping[str, Any], *, bound_origin: str = ""
) -> str:
    """Return what is wrong with a value, to be read after its name, or an empty string.

    The message never repeats the value, which may be secret.

    Args:
        value: a JSON value.
        schema: the schema that it must match.
        root: the schema in which `$ref` is resolved.
        bound_origin: where the schema's `maximum` comes from, such as `the stack's dask.ceiling`; the message then
            names it: `is above the stack's dask.ceiling (16)`.

    """
    if isinstance(schema, bool):
        return "" if schema else "is not allowed"
    if "$ref" in schema:
        target = referenced(str(schema["$ref"]), root)
        return schema_error(value, target, root, bound_origin=bound_origin) if target is not None else ""
    return (
        _value_error(value, schema, bound_origin)
        or _member_error(value, schema, root)
        or _choice_error(value, schema, root, bound_origin)
    )


def _value_error(value: Any, schema: Mapping[str, Any], bound_origin: str) -> str:
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types or []
    if types and not any(_TYPES[name][1](value) for name in types if name in _TYPES):
        return f"must be {' or '.join(_TYPES[name][0] if name in _TYPES else name for name in types)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"must be one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema and value != schema["const"]:
        return f"must be {schema['const']}"
    if isinstance(value, str):
        return _string_error(value, schema)
    return _bound_error(value, schema, bound_origin) if _is_number(value) else ""


def _bound_error(value: float, schema: Mapping[str, Any], bound_origin: str) -> str:
    for keyword, (message, holds) in _BOUNDS.items():
        bound = schema.get(keyword)
        if _is_number(bound) and not holds(value, bound):
            return message.format(f"{bound_origin} ({bound})" if bound_origin and keyword == "maximum" else bound)
    step = schema.get("multipleOf")
    if _is_number(step) and step and (value / step) % 1:
        return f"must be a multiple of {step}"
    return ""


def _string_error(value: str, schema: Mapping[str, Any]) -> str:
    if len(value) < schema.get("minLength", 0):
        return f"must have at least {_counted(schema['minLength'], 'character')}"
    if len(value) > schema.get("maxLength", len(value)):
        return f"must have at most {_counted(schema['maxLength'], 'character')}"
    return _pattern_error(value, schema["pattern"]) if "pattern" in schema else ""


def _pattern_error(value: str, pattern: str) -> str:
    try:
        return "" if re.search(pattern, value) else f"does not match {pattern}"
    except re.error as error:
        return (
            f"has a pattern that Prefect's server cannot check ({error}): write {pattern} in the syntax of Python's re"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _member_error(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if isinstance(value, dict):
        return _property_error(value, schema, root)
    return _items_error(value, schema, root) if isinstance(value, list) else ""


def _items_error(value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if len(value) < schema.get("minItems", 0):
        return f"must have at least {_counted(schema['minItems'], 'item')}"
    if len(value) > schema.get("maxItems", len(value)):
        return f"must have at most {_counted(schema['maxItems'], 'item')}"
    if schema.get("uniqueItems") and any(item in value[:index] for index, item in enumerate(value)):
        return "has an item twice"
    first = schema.get("prefixItems", [])
    for index, item in enumerate(value):
        if error := schema_error(item, first[index] if index < len(first) else schema.get("items", True), root):
            return f"[{index}] {error}"
    return ""


def _property_error(value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            return f"lacks '{name}'"
    if len(value) < schema.get("minProperties", 0):
        return f"must have at least {_counted(schema['minProperties'], 'key')}"
    if len(value) > schema.get("maxProperties", len(value)):
        return f"must have at most {_counted(schema['maxProperties'], 'key')}"
    for name, item in value.items():
        if error := schema_error(name, schema.get("propertyNames", True), root):
            return f"has the key '{name}', which {error}"
        others = [each for pattern, each in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        if error := schema_error(
            item, properties.get(name, [*others, schema.get("additionalProperties", True)][0]), root
        ):
            return f".{name} {error}"
    return ""


def _choice_error(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], bound_origin: str) -> str:
    for choice in schema.get("allOf", []):
        if error := schema_error(value, choice, root, bound_origin=bound_origin):
            return error
    if isinstance(schema.get("not"), Mapping) and not schema_error(value, schema["not"], root):
        return "is not allowed"
    for keyword in ("anyOf", "oneOf"):
        errors = [schema_error(value, choice, root, bound_origin=bound_origin) for choice in schema.get(keyword, [])]
        if errors and all(errors):
            return ", ".join(dict.fromkeys(errors))
    return ""


def referenced(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema that a `$ref` refers to; None if there is none."""
    target: Any = root
    for part in reference.removeprefix("#/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    return target if isinstance(target, Mapping) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
