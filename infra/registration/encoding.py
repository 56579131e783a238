"""Encodes values for Pulumi's engine, which drops nulls in dictionaries and stores numbers as doubles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi import Output
from pulumi.output import Unknown

from infra.specs.numbers import is_exact

NULL: Final = "␀"
"""Stands for null inside a dictionary, where `"default": null` differs from no default."""


def encode(value: Any) -> Any:
    """Return a value of which the engine keeps every part. Outputs inside it stay Outputs.

    Raises:
        ValueError: an integer is too large for a double.

    """
    if isinstance(value, Output):
        return value.apply(encode)
    if value is None:
        return NULL
    if isinstance(value, str):
        return value + NULL if _only_nulls(value) else value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if not is_exact(value):
        message = f"{value} is too large for Pulumi, which stores numbers as doubles: write it as a string"
        raise ValueError(message)
    return value


def decode(value: Any) -> Any:
    """Undo `encode`. Doubles without a fraction become integers; unknown values stay unknown."""
    if isinstance(value, str):
        if value == NULL:
            return None
        return value[:-1] if _only_nulls(value) else value
    if isinstance(value, Mapping):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, float) and value.is_integer() and is_exact(int(value)):
        return int(value)
    return value


def known(value: Any) -> bool:
    """Return whether a value has no unknown Output inside."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def _only_nulls(value: str) -> bool:
    return bool(value) and not value.strip(NULL)
