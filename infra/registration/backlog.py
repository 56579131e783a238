"""Runs of a deployment that are active or wait: what becomes of them when it changes, moves or goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from infra.registration.api import READ_DEADLINE, path
from infra.registration.errors import log

if TYPE_CHECKING:
    from infra.registration.api import PrefectApi

_LIVE: Final = {
    "running": ("RUNNING", "CANCELLING"),
    "pending": ("PENDING",),
    "paused": ("PAUSED",),
}
"""Word in a message -> types of state."""

_AUTOMATIC: Final = "auto-scheduled"
"""Tag that Prefect's scheduler gives its runs."""


def waiting(api: PrefectApi, deployment_id: str, *, operation: str) -> int:
    """Return how many scheduled runs are due and wait for a worker."""
    return _count(api, deployment_id, _due(), operation)


def described(api: PrefectApi, deployment_id: str, *, operation: str) -> str:
    """Return the numbers of runs that are not final: `2 running, 1 pending, 3 waiting`; empty for none."""
    numbers = {
        word: _count(api, deployment_id, {"state": {"type": {"any_": list(types)}}}, operation)
        for word, types in _LIVE.items()
    }
    numbers["waiting"] = _count(api, deployment_id, _due(), operation)
    by_hand = {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": {"after_": _now()}}
    numbers["scheduled by hand"] = _count(api, deployment_id, by_hand, operation) - _count(
        api, deployment_id, {**by_hand, "tags": {"all_": [_AUTOMATIC]}}, operation
    )
    return ", ".join(f"{number} {word}" for word, number in numbers.items() if number)


def warn_about_runs(api: PrefectApi, keys: Sequence[str]) -> None:
    """Warn about runs that are not final of deployments that are to be deleted.

    Args:
        api: the server's.
        keys: `<flow>/<deployment>` of each.

    """
    for key in keys:
        flow, _, name = key.partition("/")
        operation = f"count runs of deployment '{key}'"
        live = api.get(path("deployments", "name", flow, name), operation=operation, deadline=READ_DEADLINE)
        runs = described(api, live["id"], operation=operation) if live else ""
        if runs:
            what = f"Deployment '{key}' is not declared any longer, so it will be deleted, and it has runs: {runs}."
            fate = "Those that are running go on; all others are cancelled or deleted."
            remedy = "If they are needed, declare the deployment beside its new name until they have ended."
            log("warning", f"{what} {fate} {remedy}")


def _due() -> dict[str, Any]:
    return {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": {"before_": _now()}}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _count(api: PrefectApi, deployment_id: str, runs: Mapping[str, Any], operation: str) -> int:
    body = {"deployments": {"id": {"any_": [deployment_id]}}, "flow_runs": dict(runs)}
    number: int = api.post("/flow_runs/count", body, operation=operation)
    return number
