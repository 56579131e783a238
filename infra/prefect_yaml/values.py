"""Values of prefect.yaml whose type is checked the same way everywhere."""

from __future__ import annotations

import math
import re
from typing import Any, Final

_INTEGER: Final = re.compile(r"([+-]?\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})
"""What pydantic, and so Prefect, takes for true and false, in any case."""


def boolean(key: str, value: Any) -> bool | None:
    """Return true, false, or None for a missing value; `"yes"`, 1 and the like count as in Prefect.

    Raises:
        ValueError: it is neither. The message names the key and the remedy.

    """
    if value is None:
        return None
    word = str(int(value) if isinstance(value, float) and value.is_integer() else value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{key} is '{value}'; write true or false")
    return word in _TRUE


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Return a mapping, which is empty for a missing value.

    Raises:
        ValueError: it is something else. The message names the key and the remedy.

    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} must be a mapping; write `name: value` below it")  # noqa: TRY004  see Raises
    return value


def integer(value: Any) -> int | None:
    """Return an integer, also from `"3"`, 3.0 and true, as Prefect does, or None if it is something else."""
    if isinstance(value, str):
        match = _INTEGER.fullmatch(value.strip())
        return int(match[1]) if match else None
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def number(value: Any) -> float | None:
    """Return a finite number, also from `"3.5"` and true, as Prefect does, or None if it is something else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def dotted(place: tuple[str | int, ...]) -> str:
    """Return keys and indices as a message shows them: `schedules.0.cron`."""
    return ".".join(map(str, place))
