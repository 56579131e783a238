"""What the last runs of a deployment used, as the table of an artifact. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask.costs import money
from ephemeral_dask.identity import slug
from ephemeral_dask.proposal import memory, percent

if TYPE_CHECKING:
    from ephemeral_dask.identity import RunIdentity
    from ephemeral_dask.summary import Summary

PREFIX: Final = "dask-trend-"
"""Beginning of the artifact's key, which the names of flow and deployment follow."""

RUNS: Final = 20
"""Runs in a table."""

_PART: Final = 60
"""Characters of either name in the key."""

Row = dict[str, Any]


def key(flow: str, deployment: str) -> str:
    """Return the artifact's key for a deployment."""
    return f"{PREFIX}{slug(flow, _PART)}-{slug(deployment, _PART)}".rstrip("-")


def row(run: RunIdentity, summary: Summary, ended: datetime) -> Row:
    """Return a run's row. A second attempt of a run has one of its own."""
    usage = summary.usage
    first: Row = {
        "ended": ended.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "run": run.flow_run_name or run.flow_run_id,
        "seconds": round(usage.seconds),
        "workers": usage.peak,
        "worker-seconds": round(usage.worker_seconds),
    }
    compared: Row = {}
    for asked, used in summary.groups():
        compared[f"{asked.who} memory"] = f"{memory(used.memory_peak)} of {asked.memory_text}"
        compared[f"{asked.who} CPU"] = f"{used.cpu_usual:.2f} of {asked.cpu_text}"
        compared[f"{asked.who} idle"] = percent(used.idle_seconds, used.seconds)
    last: Row = {
        "spilled": memory(usage.spilled),
        "waited": f"{summary.started + usage.waited:.0f} s",
        "tasks": usage.tasks,
        "run again": usage.again,
    }
    if summary.costs:
        last[f"cost ({summary.costs.currency})"] = money(summary.costs.total)
    return {**first, **compared, **last}


def table(new: Row, earlier: Iterable[Any]) -> list[Row]:
    """Return the rows of the last runs, the newest first.

    Args:
        new: the row of the run that has ended.
        earlier: the latest tables as Prefect stores them. There are several because runs that end at the same time do
            not see each other's.

    """
    rows = {(str(each["ended"]), str(each["run"])): each for data in earlier for each in _rows(data)}
    rows[new["ended"], new["run"]] = new
    return [rows[name] for name in sorted(rows, reverse=True)[:RUNS]]


def _rows(data: Any) -> Sequence[Row]:
    """Return what a table has that can be read; the table of another release may be different."""
    try:
        rows = json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return []
    return [each for each in rows or () if isinstance(each, dict) and {"ended", "run"} <= each.keys()]
