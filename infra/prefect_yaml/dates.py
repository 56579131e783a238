"""Dates in the spellings that Prefect takes."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_MONTH: Final = re.compile(r"(\d{4})(?:[-/](\d{2}))?")
_ORDINAL: Final = re.compile(r"(\d{4})-?(\d{3})(T.*)?")


def moment(text: str) -> dt.datetime:
    """Return the moment that a text names; without an offset if the text has none.

    Beside ISO 8601 it takes `2026/01/31`, a year, a month and the number of a day in its year, as Prefect does.

    Raises:
        ValueError: it is something else.

    """
    if match := _MONTH.fullmatch(text):
        return dt.datetime(int(match[1]), int(match[2] or 1), 1)  # noqa: DTZ001  the caller decides about the timezone
    if match := _ORDINAL.fullmatch(text):
        first = dt.datetime.fromisoformat(f"{match[1]}-01-01{match[3] or ''}")
        return first + dt.timedelta(days=int(match[2]) - 1)
    return dt.datetime.fromisoformat(text.replace("/", "-") if "/" in text[:10] else text)
