"""Field-by-field differences of nested values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tools.summary.events import SECRET, UNKNOWN

ABSENT: Final = object()
"""The field is not there."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One field that differs.

    Attributes:
        path: such as `schedules.nightly.cron` or `spec.containers[0].image`.
        old: value before, or ABSENT.
        new: value after, or ABSENT.

    """

    path: str
    old: Any
    new: Any


def between(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """Return the innermost fields that differ, in the order of the new value.

    A secret equals a secret: the engine does not tell one from another.
    """
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*new, *old)):
            yield from between(old.get(key, ABSENT), new.get(key, ABSENT), _join(path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _has_parts(old + new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from between(before, after, f"{path}[{index}]")
    elif isinstance(old, list) and isinstance(new, list) and _has_parts(old + new) and (kept := _kept(old, new)):
        for index in range(kept, max(len(old), len(new))):
            before, after = (values[index] if index < len(values) else ABSENT for values in (old, new))
            yield Difference(path=f"{path}[{index}]", old=before, new=after)
    elif isinstance(new, Mapping) and new and old is ABSENT:
        for key, value in new.items():
            yield from between(ABSENT, value, _join(path, key))
    elif isinstance(old, Mapping) and old and new is ABSENT:
        for key, value in old.items():
            yield from between(value, ABSENT, _join(path, key))
    else:
        yield Difference(path=path, old=old, new=new)


def secrets(value: Any, path: str = "") -> Iterator[str]:
    """Return the paths of the secrets inside `value`."""
    if value == SECRET:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets(item, _join(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from secrets(item, f"{path}[{index}]")


def unknown(value: Any) -> bool:
    """Tell whether a part of `value` is known only after the update."""
    if isinstance(value, Mapping):
        return any(unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(unknown(item) for item in value)
    return bool(value == UNKNOWN)


def _has_parts(values: list[Any]) -> bool:
    return any(isinstance(value, (Mapping, list)) for value in values)


def _kept(old: list[Any], new: list[Any]) -> int:
    """Return the length of the shorter list if the longer one begins with it, and 0 otherwise."""
    shorter = min(len(old), len(new))
    return shorter if old[:shorter] == new[:shorter] else 0


def _join(path: str, key: Any) -> str:
    # A dot inside a name, as in a Kubernetes annotation, would read like two fields.
    part = f"[{key}]" if "." in str(key) or "/" in str(key) else str(key)
    return part if not path else f"{path}{part}" if part.startswith("[") else f"{path}.{part}"
