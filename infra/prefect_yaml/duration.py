"""Durations in YAML files."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

_LONGEST: Final = dt.timedelta.max.total_seconds()


def seconds(value: Any) -> float | None:
    """Return the seconds of a number, an ISO 8601 duration (`PT1H`) or a clock time (`01:00:00`); None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        import pydantic  # noqa: PLC0415  for the rare duration that is not a number

        try:
            value = pydantic.TypeAdapter(dt.timedelta).validate_python(value).total_seconds()
        except pydantic.ValidationError:
            return None
    if not isinstance(value, int | float) or not abs(value) < _LONGEST:
        return None
    return int(value) if float(value).is_integer() else value
