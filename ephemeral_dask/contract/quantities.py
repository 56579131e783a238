"""Kubernetes quantities: `500m`, `2`, `1.5`, `512Mi`, `2Gi`, `1G`, `1e9`.

Source of the notation: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

SMALLEST_WORKER_MEMORY: Final = 384 * 2**20
"""Bytes. A worker that has imported Dask, Prefect and scikit-learn fills 280 MiB, its nanny another 85."""

_SUFFIXES: Final = {
    "": Decimal(1),
    **{suffix: Decimal(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Decimal(10) ** power for suffix, power in zip("kMGTPE", range(3, 19, 3), strict=True)},
    **{f"{suffix}i": Decimal(2) ** power for suffix, power in zip("KMGTPE", range(10, 61, 10), strict=True)},
}
_GRAMMAR: Final = r"\+?([0-9]{1,20}\.?[0-9]{0,9}|\.[0-9]{1,9})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?"
_QUANTITY: Final = re.compile(_GRAMMAR)

_PATTERN: Final = rf"^({_GRAMMAR}|.*\{{\{{.*\}}\}}.*)$"
"""The same for a JSON schema. Prefect checks a value before it fills in placeholders of blocks and variables."""

SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [{"type": "string", "pattern": _PATTERN}, {"type": "number", "exclusiveMinimum": 0}]
}
"""The JSON schema of a quantity: a number such as 2 is one too, as Kubernetes itself has it."""


def text(value: object) -> object:
    """Return a bare number as the quantity that it is, and anything else unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(value) if isinstance(value, int) else f"{value:f}".rstrip("0").rstrip(".")


def _value(text: str) -> Decimal:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity")
    number, end = Decimal(match[1]), match[2] or ""
    return number * _SUFFIXES[end] if end in _SUFFIXES else number.scaleb(int(end[1:]))


def cores(text: str) -> float:
    """Return a CPU quantity in cores: `500m` is 0.5.

    Raises:
        ValueError: it is not a quantity, or not above zero.

    """
    value = _value(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above zero")
    return float(value)


def amount(value: object) -> float:
    """Return a quantity in its own unit, zero included, as which a bare number counts: `2Gi` is 2147483648.

    Raises:
        ValueError: it is not one.

    """
    return float(_value(str(text(value))))


def is_below(limit: object, request: object) -> bool:
    """Compare two quantities, as which bare numbers count.

    Raises:
        ValueError: one of them is not a quantity.

    """
    return _value(str(text(limit))) < _value(str(text(request)))


def check(text: str) -> None:
    """Accept every quantity, zero included.

    Raises:
        ValueError: it is not one.

    """
    _value(text)


def memory_bytes(text: str) -> int:
    """Return a memory quantity in whole bytes: `1Ki` is 1024.

    Raises:
        ValueError: it is not a quantity, not above zero, or not whole bytes (`500m` of memory is half a byte).

    """
    value = _value(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above zero")
    if value != value.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(value)
