"""What a prefect.yaml would register, without a stack, a cluster or a server."""

from __future__ import annotations

import datetime as dt
import os
import signal
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, get_args

from rich.cells import cell_len

from infra.flow_signature import newer_python
from infra.prefect_yaml import python_version, run_times
from infra.prefect_yaml.load import DeploymentError, read_deployments
from infra.settings.image import FlowPython
from infra.specs.deployment import DeploymentSpec
from tools.errors import Problem
from tools.progress import counted

LONGEST: Final = 60
"""Seconds that reading a file and its flows may take."""

_HEAD: Final = ("deployment", "entrypoint", "work pool", "next runs")


def located(file: str) -> Path:
    """Return the file that a person named; a folder stands for its prefect.yaml.

    Raises:
        Problem: no file is named, or it does not exist.

    """
    if not file:
        raise Problem("No file is named", remedy="Run make check FILE=path/to/prefect.yaml")
    path = Path(file).expanduser()
    path = path / "prefect.yaml" if path.is_dir() else path
    if not path.is_file():
        raise Problem(f"{path} does not exist", remedy="Name a prefect.yaml, or the folder that has one")
    return path


def report(path: Path, *, strict: bool, environment: Mapping[str, str] = os.environ) -> tuple[str, bool]:
    """Return a page about the file, and whether it would be registered.

    Args:
        path: the file; the code is beside it.
        strict: whether a warning counts as a refusal.
        environment: for `{{ $NAME }}`.

    Raises:
        Problem: the reading takes too long.

    """
    warnings: list[str] = []
    specs: Sequence[DeploymentSpec] = ()
    with _limited(path):
        try:
            with newer_python.accepted(*python_version.newer(get_args(FlowPython))):
                reading = read_deployments(path, environment=environment, variables=None, warn=warnings.append)
            specs, errors = reading.deployments, list(reading.errors)
        except DeploymentError as error:
            errors = [str(error)]
        warnings = list(dict.fromkeys(warnings))
        rows = [row for spec in specs for row in _rows(spec, dt.datetime.now(dt.UTC))]
    accepted = not errors and not (strict and warnings)
    would = "would register" if accepted else "could be read"
    parts = [f"{path}: {counted(len(specs), 'deployment')} {would}"]
    parts += ["", *_table([_HEAD, *rows])] if rows else []
    for title, texts in (("Warnings", warnings), ("Refused", errors)):
        parts += ["", f"{title} ({len(texts)}):", *(f"  {_shown_lines(text)}" for text in texts)] if texts else []
    parts += ["", _verdict(len(errors), len(warnings), accepted=accepted, strict=strict)]
    return "\n".join(parts), accepted


def _rows(spec: DeploymentSpec, now: dt.datetime) -> Iterator[tuple[str, ...]]:
    runs = [_runs(run_times.described(schedule, now), active=schedule.active) for schedule in spec.schedules]
    runs += [f"on {'a trigger' if trigger.enabled is not False else 'a disabled trigger'}" for trigger in spec.triggers]
    first, *others = runs or ["by hand"]
    pool = spec.work_pool_name or "(the stack's first)"
    yield _shown(spec.key), _shown(spec.entrypoint), _shown(pool), first
    for each in others:
        yield "", "", "", each


def _runs(runs: str, *, active: bool | None) -> str:
    return f"{runs} (inactive)" if active is False else runs


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"  {lines[0]}", f"  {'-' * max(map(cell_len, lines))}", *(f"  {line}" for line in lines[1:])]


def _padded(cell: str, width: int) -> str:
    """Fill a cell with spaces; a terminal gives characters such as Chinese ones and emoji two columns."""
    return cell + " " * (width - cell_len(cell))


def _shown(text: str) -> str:
    """Return text of a foreign file without the characters that would move the cursor of a terminal."""
    return "".join(each if unicodedata.category(each) != "Cc" else repr(each)[1:-1] for each in text)


def _shown_lines(text: str) -> str:
    return "\n".join(map(_shown, text.split("\n")))


def _verdict(errors: int, warnings: int, *, accepted: bool, strict: bool) -> str:
    if accepted:
        return "Accepted." if not warnings else f"Accepted with {counted(warnings, 'warning')}."
    if errors:
        return f"Refused for {counted(errors, 'reason')}; `make up` would change nothing."
    return f"Refused, because {counted(warnings, 'warning')} count as errors (STRICT={int(strict)})."


class _TooLongError(BaseException):
    """The time is up. Not an `Exception`: the reader of flows takes every one of these for a mistake in the flow."""


@contextmanager
def _limited(path: Path) -> Iterator[None]:
    """Raise a problem in the block when it takes too long."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    except _TooLongError:
        raise Problem(
            f"Reading {path} and its flows takes more than {LONGEST} s",
            remedy="Report it with the file; `deployments.<flow>/<name>.schema` of a stack file replaces the reading",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
