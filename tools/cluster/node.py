"""The node of the local cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tools.cluster import supervise
from tools.cluster.api import Api
from tools.cluster.layout import NODE_NAME, Layout
from tools.cluster.wait import until

DEADLINE: Final = 120.0
"""Seconds for the node to become Ready."""


def is_ready(api: Api, *, since: str) -> bool:
    """Return whether the node is Ready by a heartbeat from `since` or later (RFC 3339, UTC)."""
    return reports_ready(api.get(f"/api/v1/nodes/{NODE_NAME}"), since=since)


def reports_ready(node: Mapping[str, Any] | None, *, since: str) -> bool:
    """Return whether a node object says so. An older heartbeat is one of an earlier start of the cluster."""
    if not node:
        return False
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" and condition["lastHeartbeatTime"] >= since
        for condition in node.get("status", {}).get("conditions", ())
    )


def wait(place: Layout, api: Api, since: str, components: Sequence[str]) -> None:
    """Wait until pods can be created: for a ready node, and for the default ServiceAccount.

    Args:
        place: paths of the cluster.
        api: its API server.
        since: when the cluster was started (RFC 3339, UTC).
        components: names of its processes.

    Raises:
        Problem: one of the processes ended, or the node is not ready in time.

    """

    def ready() -> bool:
        supervise.raise_if_ended(place, components)
        return is_ready(api, since=since) and bool(api.get("/api/v1/namespaces/default/serviceaccounts/default"))

    if not until(ready, seconds=DEADLINE, interval=0.2):
        raise supervise.failure(place, "kubelet", f"did not report a ready node within {DEADLINE:.0f} s")
