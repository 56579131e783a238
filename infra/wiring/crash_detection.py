"""The automation that marks a flow run without heartbeats as Crashed: a pod that is gone cannot report that itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pulumi import Input, Output

HEARTBEAT: Final = "prefect.flow-run.heartbeat"
"""Event that the flow's process sends every `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` seconds."""

DESCRIPTION: Final = "Marks runs without heartbeats as Crashed."

_STATES: Final = (
    "Completed",
    "Failed",
    "Cancelled",
    "Crashed",
    "Paused",
    "Suspended",
    "AwaitingRetry",
    "Scheduled",
    "Pending",
)
"""States in which a run sends no heartbeats. Prefect's own example lacks the waiting ones: it crashes a suspended run,
and one that Kubernetes has rescheduled."""


def trigger(deployment_ids: Sequence[Input[str]], seconds: int) -> dict[str, Any]:
    """Return the trigger: a heartbeat is followed neither by another one nor by one of the states above.

    Args:
        deployment_ids: of the deployments whose runs are watched. Others on the same server may send heartbeats less
            often, and do not belong to this stack.
        seconds: without a heartbeat.

    """
    return {
        "type": "event",
        "posture": "Proactive",
        "after": [HEARTBEAT],
        "expect": [HEARTBEAT, *(f"prefect.flow-run.{state}" for state in _STATES)],
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {
            "prefect.resource.role": "deployment",
            "prefect.resource.id": [Output.format("prefect.deployment.{0}", each) for each in deployment_ids],
        },
        "for_each": ["prefect.resource.id"],
        "threshold": 1,
        "within": seconds,
    }


def action(seconds: int) -> dict[str, Any]:
    """Return the action. A run that has ended in the meantime is not changed: Prefect keeps final states."""
    return {
        "type": "change-flow-run-state",
        "state": "CRASHED",
        "message": f"No heartbeat for {seconds} seconds: its pod is gone or hangs.",
    }
