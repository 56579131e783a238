"""Values on their way through the engine: it drops nulls in dictionaries and turns numbers into doubles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi import Output
from pulumi.output import Unknown

from infra.specs.numbers import LARGEST_EXACT_INTEGER

NULL: Final = "␀"
"""Stands for null inside a dictionary, where `"default": null` and no default are different things."""


def encode(value: Any) -> Any:
    """Return `value` such that the engine keeps every part of it; Outputs inside stay Outputs.

    Raises:
        ValueError: an integer is too large to survive as a double.

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
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_EXACT_INTEGER:
        message = f"{value} is too large for Pulumi, which keeps numbers as doubles: write it as a string"
        raise ValueError(message)
    return value


def decode(value: Any) -> Any:
    """Undo `encode`. Whole numbers come back as integers; unknown values stay unknown."""
    if isinstance(value, str):
        if value == NULL:
            return None
        return value[:-1] if _only_nulls(value) else value
    if isinstance(value, Mapping):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_EXACT_INTEGER:
        return int(value)
    return value


def known(value: Any) -> bool:
    """Tell whether nothing inside `value` is still to be computed."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def _only_nulls(value: str) -> bool:
    return bool(value) and not value.strip(NULL)
