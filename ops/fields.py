"""Fields of Kubernetes objects that anyone may have created.

A field that has another type than Kubernetes' own is read as if it were missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

_KEPT_LINES: Final = 1000
"""Lines about objects that cannot be handled, so that each is logged once and not at every check."""

_LONGEST: Final = 600

_log = logging.getLogger("ops.reaper")
_reported: set[str] = set()

Object = Mapping[str, Any]
Kept = TypeVar("Kept")

MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading an object with unexpected fields can raise."""


def parsed(parse: Callable[[Object], Kept], kind: str, items: Iterable[Object]) -> Iterator[Kept]:
    """Yield what is kept of each object; log those that cannot be read."""
    for item in items:
        try:
            yield parse(item)
        except MALFORMED as error:
            report(kind, name_of(item), error)


def report(kind: str, name: str, error: Exception) -> None:
    """Log once that an object cannot be handled; the others are."""
    line = f"{kind} {name} is skipped: {error!r:.200}"
    if line not in _reported:
        if len(_reported) >= _KEPT_LINES:
            _reported.clear()
        _reported.add(line)
        _log.warning(line)


def name_of(item: object) -> str:
    """Return an object's name for the log."""
    name = mapping(item, "metadata").get("name") if isinstance(item, Mapping) else None
    return str(name or "without a name")


def mapping(item: Object, key: str) -> Object:
    """Return the object at a key, or an empty one."""
    value = item.get(key)
    return value if isinstance(value, Mapping) else {}


def sequence(item: Object, key: str) -> list[Object]:
    """Return the objects of the list at a key, or none."""
    value = item.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text(item: Object, key: str) -> str:
    """Return the string at a key, or an empty one."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def time_of(item: Object, key: str) -> datetime | None:
    """Return the time at a key, if there is one."""
    value = text(item, key)
    time = datetime.fromisoformat(value) if value else None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def has_condition(item: Object, *types: str) -> bool:
    """Return whether one of the conditions of an object's status is true."""
    return any(each.get("type") in types and each.get("status") == "True" for each in conditions(item))


def conditions(item: Object) -> list[Object]:
    """Return the conditions of an object's status."""
    return sequence(mapping(item, "status"), "conditions")


def shortened(words: str) -> str:
    """Return a text of bounded length, which a message can hold."""
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
