"""Bounds of a reading: how many steps it takes, how deep it nests and how large its values become.

They count operations and not seconds, so that every machine registers the same.
"""

from __future__ import annotations

import datetime as dt
import enum
import pathlib
import re
import types
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from infra.flow_signature.unknown import Undecidable, Unknown

_STATEMENT: Final = 10_000
"""Steps of one statement; a loop over 500 items with a few operations is below."""
_FREE: Final = 300
"""Steps that each statement has in any case, so that those after many long ones are read, too."""
_TOTAL: Final = 60_000
"""Steps of all statements of a reading beyond the free ones, about a quarter of a second."""
_DEEPEST: Final = 220
LARGEST: Final = 20_000
"""Items of a collection, and characters of a text in tens."""
LONGEST: Final = 200_000
"""Characters of a text."""
_BITS: Final = 20_000
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]{6,}")
_WIDE: Final = re.compile(r"%[-+ #0]*\d*\.?(?:\d{4,}|\*)|[{:][^{}]*\d{4,}")
"""A width or precision of four digits in a `%` or `{}` format."""

_ATOMS: Final = (type(None), bool, float, complex, type(Ellipsis), type(NotImplemented), range, type, enum.Enum)
_LEAVES: Final = (types.FunctionType, types.ModuleType, pathlib.PurePath, dt.date, dt.timedelta)


class Exhausted(Undecidable):
    """The statement takes more steps than a reading has."""


class Budget:
    """Counts the steps of a reading."""

    def __init__(self) -> None:
        self._total = _TOTAL
        self._start = self._left = _STATEMENT
        self.depth = 0

    def renew(self) -> None:
        """Start a statement that has its own allowance."""
        self._total -= max(0, self._start - self._left - _FREE)
        self._start = self._left = max(_FREE, min(_STATEMENT, self._total))

    def spend(self, steps: int = 1) -> None:
        """Count steps.

        Raises:
            Exhausted: there were too many.

        """
        self._left -= steps
        if self._left < 0:
            raise Exhausted(Unknown.because("it takes too long to work out"))

    def enter(self) -> None:
        """Go one level deeper; the caller lowers `depth` afterwards.

        Raises:
            Undecidable: it is too deep.

        """
        if self.depth >= _DEEPEST:
            raise Undecidable(Unknown.because("it is nested too deeply"))
        self.depth += 1


def too_large() -> Undecidable:
    """Return the outcome of an operation whose result would be too large."""
    return Undecidable(Unknown.because("it is too large"))


def every(value: Any, most: int = LARGEST) -> Iterator[Any]:
    """Yield a value and all that it contains.

    Raises:
        Undecidable: the value is larger than the limit.

    """
    total, pending = 0, [value]
    while pending:
        item = pending.pop()
        total += _weight(item)
        if total > most:
            raise too_large()
        yield item
        pending.extend(members(item))


def size(value: Any, most: int = LARGEST) -> int:
    """Return how many parts a value has, up to a limit.

    Raises:
        Undecidable: the value is larger.

    """
    return sum(1 for _ in every(value, most))


def members(value: Any) -> list[Any]:
    """Return what a value contains: items, keys and values, attributes of an object."""
    if isinstance(value, (*_ATOMS, str, bytes, int)):
        return []
    if isinstance(value, dict | types.MappingProxyType):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, (*_LEAVES, Unknown)):
        return []
    contents = getattr(value, "__dict__", None)
    return list(contents.values()) if isinstance(contents, dict) else []


def _weight(value: Any) -> int:  # noqa: PLR0911  one answer per kind
    if isinstance(value, str | bytes | bytearray):
        return 1 + len(value) // 10
    if isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return 1 + value.bit_length() // 8
    if isinstance(value, Decimal):
        return 1 + (abs(value.adjusted()) if value.is_finite() else 0)
    if isinstance(value, Fraction):
        return 1 + (value.numerator.bit_length() + value.denominator.bit_length()) // 8
    if isinstance(value, range):
        return 1 + _length(value)
    return 1


def _length(value: range) -> int:
    try:
        return len(value)
    except OverflowError:
        return LARGEST + 1


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be too large.

    Args:
        operator: the name of its node in the syntax tree, such as `Mult`.
        left: the first operand.
        right: the second operand.

    Raises:
        Undecidable: the result would be too large.

    """
    sequence = (str, bytes, bytearray, list, tuple)
    if operator == "Mult":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, sequence) and isinstance(other, int) and len(one) * other > LARGEST:
                raise too_large()
        if _bits(left) + _bits(right) > _BITS:
            raise too_large()
    elif operator == "Pow":
        if isinstance(right, int) and not isinstance(left, float | complex) and _bits(left) * abs(right) > _BITS:
            raise too_large()
    elif operator == "LShift":
        if isinstance(right, int) and right > _BITS:
            raise too_large()
    elif operator == "Mod" and isinstance(left, str | bytes):
        check_format(left if isinstance(left, str) else left.decode("latin-1"))
        size(right)
    elif operator == "Add" and isinstance(left, sequence) and isinstance(right, sequence):
        if len(left) + len(right) > (LONGEST if isinstance(left, str | bytes) else LARGEST):
            raise too_large()
    else:
        size(left)
        size(right)


def check_format(text: str) -> None:
    """Refuse a format that pads to a width of more than three digits, or takes the width from its arguments."""
    if _WIDE.search(text):
        raise too_large()


def check_text(text: str | bytes) -> None:
    """Refuse a text that is too long, or that shows the address of an object.

    Raises:
        Undecidable: it does.

    """
    if len(text) > LONGEST:
        raise too_large()
    if isinstance(text, str) and _ADDRESS.search(text):
        raise Undecidable(Unknown.because("it shows the address of an object"))


def check_order(value: Any) -> None:
    """Refuse a set whose order differs from process to process, where the order matters.

    Raises:
        Undecidable: it does.

    """
    several = isinstance(value, set | frozenset) and len(value) > 1
    if several and not all(isinstance(item, int | float) for item in value):
        raise Undecidable(Unknown.because("it is a set, whose order differs from time to time"))


def _bits(value: Any) -> int:
    if isinstance(value, bool | float | complex):
        return 1
    if isinstance(value, int):
        return max(1, value.bit_length())
    if isinstance(value, Decimal):
        return min(_weight(value), 64)
    if isinstance(value, Fraction):
        return value.numerator.bit_length() + value.denominator.bit_length()
    return 1
