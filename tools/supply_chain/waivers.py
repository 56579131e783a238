"""Known vulnerabilities that do not fail the audit: which, why, and until when."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from tools.errors import Problem
from tools.paths import ROOT

FILE: Final = ROOT / "requirements" / "waivers.toml"

LONGEST: Final = timedelta(days=180)
"""For how long a waiver may hold before somebody looks at it again."""

_SHORTEST_REASON: Final = 30
"""Characters. A reason says why the vulnerable code is not reached, or what is done instead."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A vulnerability of a package that is accepted for some time.

    Attributes:
        id: of the vulnerability, as PYSEC, GHSA or CVE name it.
        package: the name of the Python package.
        reason: why it does not matter here.
        expires: the last day on which it holds.

    """

    id: str
    package: str
    reason: str
    expires: date


def read(path: Path = FILE, *, today: date) -> tuple[Waiver, ...]:
    """Return the waivers of a file that hold today.

    Raises:
        Problem: naming everything in the file that is wrong, expired waivers included.

    """
    try:
        content = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"{path.name} is not valid TOML: {error}", remedy="Correct it") from None
    entries = content.get("waiver", [])
    errors = [f"{key}: unknown key" for key in content if key != "waiver"]
    errors += [f"waiver {number}: {text}" for number, one in enumerate(entries, 1) for text in _errors(one, today)]
    waivers = [Waiver(**one) for one in entries] if not errors else []
    errors += [f"{each} is waived twice" for each in _twice((one.package, one.id) for one in waivers)]
    if errors:
        raise Problem(
            f"{path.name} is wrong: {'; '.join(errors)}",
            remedy="Upgrade the package and remove the waiver, or correct it; the head of the file describes the keys",
        )
    return tuple(waivers)


def _errors(entry: dict[str, Any], today: date) -> Iterable[str]:
    names = tuple(Waiver.__annotations__)
    yield from (f"{name} is missing" for name in names if name not in entry)
    yield from (f"{name} is not a key" for name in entry if name not in names)
    for name in ("id", "package", "reason"):
        if name in entry and not isinstance(entry[name], str):
            yield f"{name} is not text"
    if isinstance(reason := entry.get("reason", " " * _SHORTEST_REASON), str) and len(reason) < _SHORTEST_REASON:
        yield "reason does not say why the vulnerability does not matter here"
    expires = entry.get("expires", today)
    if type(expires) is not date:
        yield "expires is not a date such as 2027-01-31, without quotes"
    elif expires < today:
        yield f"{entry.get('id')} of {entry.get('package')} has expired on {expires}"
    elif expires > today + LONGEST:
        yield f"expires is more than {LONGEST.days} days ahead, which is longer than {today + LONGEST}"


def _twice(keys: Iterable[tuple[str, str]]) -> list[str]:
    every = [f"{id_} of {package}" for package, id_ in keys]
    return sorted({each for each in every if every.count(each) > 1})
