"""The automation that takes a flow run without signs of life for Crashed: a pod that is gone cannot say so itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pulumi import Input, Output

HEARTBEAT: Final = "prefect.flow-run.heartbeat"
"""Event that the flow's process sends in the seconds of `PREFECT_FLOWS_HEARTBEAT_FREQUENCY`."""

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
"""States in which silence is right. Those that wait are missing in Prefect's own example, which crashes a suspended run
and one that Kubernetes has put back."""


def trigger(deployment_ids: Sequence[Input[str]], seconds: int) -> dict[str, Any]:
    """Return the trigger: after a heartbeat neither another one nor the end of the run.

    Args:
        deployment_ids: whose runs are watched. Others on the same server may send heartbeats more seldom, and their
            runs are nobody's business here.
        seconds: of silence.

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
    """Return the action. A run that has ended meanwhile stays as it is: Prefect refuses to change a final state."""
    return {
        "type": "change-flow-run-state",
        "state": "CRASHED",
        "message": f"No sign of life for {seconds} seconds: its pod is gone or hangs.",
    }
