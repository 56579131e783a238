"""Bounds of calls: what a function of a library may get and return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.flow_signature.budget import LARGEST, LONGEST, Budget, check_format, check_order, size, too_large

_PADDED: Final = frozenset(["ljust", "rjust", "center", "zfill", "expandtabs", "to_bytes"])
_CHEAP: Final = frozenset(
    ["append", "appendleft", "add", "discard", "get", "pop", "popleft", "setdefault", "keys", "values", "items"]
)
"""Methods whose effort does not depend on the size of their object."""
_LAZY: Final = (range, len, isinstance, type)
_ORDERLESS: Final = (len, sorted, set, frozenset, isinstance, min, max, sum, any, all, bool, type, callable, print)
_OF_SETS: Final = frozenset(
    [
        "add",
        "discard",
        "remove",
        "update",
        "union",
        "intersection",
        "difference",
        "symmetric_difference",
        "issubset",
        "issuperset",
        "isdisjoint",
        "copy",
        "intersection_update",
        "difference_update",
        "symmetric_difference_update",
        "clear",
        "append",
        "Field",
        "field",
        "partial",
    ]
)
"""Functions and methods whose result does not depend on the order of a set."""


def check_call(budget: Budget, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    """Refuse a call of a library that takes or makes something too large.

    Raises:
        Undecidable: it does.

    """
    values = [*arguments, *keywords.values()]
    owner = getattr(function, "__self__", None)
    if function in _LAZY:
        return
    name = getattr(function, "__name__", "")
    if name in _CHEAP or isinstance(owner, range):
        owner = None
    for value in [*values, owner]:
        budget.spend(size(value) // 4)
        if type(value).__name__ == "callable_iterator":
            raise too_large()
    if function is iter and len(arguments) > 1:
        raise too_large()
    padded = function in (bytes, bytearray) or name in _PADDED
    if padded and any(isinstance(value, int) and value > LARGEST for value in values):
        raise too_large()
    if isinstance(owner, str | bytes):
        _check_text(owner, name, values)
    if function is format:
        check_format(f":{arguments[1] if len(arguments) > 1 else ''}")


def _check_text(owner: str | bytes, name: str, values: list[Any]) -> None:
    if name == "replace" and len(values) > 1 and isinstance(values[1], str | bytes):
        if (len(owner) + 1) * max(1, len(values[1])) > LONGEST:
            raise too_large()
    elif name in ("format", "format_map") and isinstance(owner, str):
        check_format(owner)
    elif name in ("join", "translate") and values:
        length = len(values[0]) if isinstance(values[0], list | tuple | dict | str) else 1
        if len(owner) * length > LONGEST:
            raise too_large()


def check_orders(function: Any, values: Sequence[Any]) -> None:
    """Refuse a set where its order matters.

    Raises:
        Undecidable: it does.

    """
    if any(function is each for each in _ORDERLESS) or getattr(function, "__name__", "") in _OF_SETS:
        return
    for value in [*values, getattr(function, "__self__", None)]:
        check_order(value)
