"""The outcome of checks, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.errors import Problem


class Verdict(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    UNKNOWN = "unknown"


_STYLES = {Verdict.OK: "green", Verdict.FAILED: "red", Verdict.WARNING: "yellow", Verdict.UNKNOWN: "yellow"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The outcome of one check.

    Attributes:
        check: what was checked.
        verdict: the outcome. `unknown` where it could not be checked for a reason that is not the stack's.
        detail: what was seen; the cause where it is not `ok`.
        remedy: what to do about it, or empty.

    """

    check: str
    verdict: Verdict
    detail: str = ""
    remedy: str = ""


def ok(check: str, detail: str = "") -> Row:
    """Return the row of a check that passed."""
    return Row(check=check, verdict=Verdict.OK, detail=detail)


def failed(check: str, detail: str, remedy: str) -> Row:
    """Return the row of a check that did not pass."""
    return Row(check=check, verdict=Verdict.FAILED, detail=detail, remedy=remedy)


def warning(check: str, detail: str, remedy: str) -> Row:
    """Return the row of a check that passed, and will not for long."""
    return Row(check=check, verdict=Verdict.WARNING, detail=detail, remedy=remedy)


def unknown(check: str, detail: str, remedy: str = "") -> Row:
    """Return the row of a check that could not be made."""
    return Row(check=check, verdict=Verdict.UNKNOWN, detail=detail, remedy=remedy)


def of_problems(check: str, problems: Iterable[Problem], detail: str = "") -> list[Row]:
    """Return a row for each problem, or one that says that there is none."""
    rows = [failed(check, _sentence(problem), problem.remedy) for problem in problems]
    return rows or [ok(check, detail)]


def _sentence(problem: Problem) -> str:
    return f"{problem.what}: {problem.detail.strip()}" if problem.detail.strip() else problem.what


def passed(rows: Iterable[Row]) -> bool:
    """Return whether no check failed."""
    return all(row.verdict is not Verdict.FAILED for row in rows)


def show(rows: Iterable[Row], output: Console) -> None:
    """Print the table."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("cause and remedy", overflow="fold")
    for row in rows:
        remedy = f"Remedy: {row.remedy.rstrip('.')}." if row.remedy else ""
        words = "\n".join(filter(None, (row.detail, remedy)))
        table.add_row(Text(row.check), Text(row.verdict, style=_STYLES[row.verdict]), Text(words))
    output.print(table)
