"""Dates in the spellings that Prefect takes."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_MONTH: Final = re.compile(r"(\d{4})(?:[-/](\d{2}))?")
_START: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECONDS: Final = 20_000_000_000
"""The largest number that pydantic, and so Prefect, takes for seconds."""
_ORDINAL: Final = re.compile(r"(\d{4})-?(\d{3})(T.*)?")


def is_timestamp(value: object) -> bool:
    """Return whether a date is a number, which Prefect takes for the seconds or milliseconds since 1970."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def moment(value: str | float) -> dt.datetime:
    """Return the moment that a text or a number names; without an offset if a text has none.

    Beside ISO 8601 it takes `2026/01/31`, a year, a month and the number of a day in its year, as Prefect does.

    Raises:
        ValueError: it is something else.
        OverflowError: it is a number that no date has.

    """
    if not isinstance(value, str):
        milliseconds = abs(value) > _SECONDS
        return _START + (dt.timedelta(milliseconds=value) if milliseconds else dt.timedelta(seconds=value))
    text = value
    if match := _MONTH.fullmatch(text):
        return dt.datetime(int(match[1]), int(match[2] or 1), 1)  # noqa: DTZ001  the caller decides about the timezone
    if match := _ORDINAL.fullmatch(text):
        first = dt.datetime.fromisoformat(f"{match[1]}-01-01{match[3] or ''}")
        return first + dt.timedelta(days=int(match[2]) - 1)
    return dt.datetime.fromisoformat(text.replace("/", "-") if "/" in text[:10] else text)
