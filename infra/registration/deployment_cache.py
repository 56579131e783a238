"""Reads all deployments of a server in a few requests, for a `pulumi up` that compares many of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

FEW: Final = 5
"""Up to this many lookups, single GETs beat one list of all deployments."""

MANY: Final = 200
"""From this number of deployments or flows they are not listed: a page of Prefect (`PREFECT_API_DEFAULT_LIMIT`)."""

FRESH: Final = 5.0
"""Seconds for which the cached list is used."""

Fields = dict[str, Any]


class Api(Protocol):
    """The part of `PrefectApi` that the cache uses."""

    def post(self, path: str, body: Any, *, operation: str, deadline: float) -> Any: ...


class DeploymentCache:
    """The deployments that a server had a few seconds ago. For comparison only: a write reads the server again.

    Args:
        api: the server's API.
        clock: returns monotonic seconds.

    """

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._lookups = 0
        self._too_many = False
        self._listed_at = -FRESH
        self._deployments: dict[tuple[str, str], Fields] = {}
        self._written: set[tuple[str, str]] = set()

    def invalidate(self, flow: str, name: str) -> None:
        """Stop answering for a deployment that this process is about to change."""
        self._written.add((flow, name))

    def get(self, flow: str, name: str, *, operation: str, deadline: float) -> tuple[Fields | None] | None:
        """Return the deployment in a tuple, `(None,)` if it does not exist, and None if the cache does not know.

        Args:
            flow: name of the flow.
            name: name of the deployment.
            operation: what the lookup is for, for an error message.
            deadline: seconds that it may take.

        """
        key = (flow, name)
        with self._lock:
            self._lookups += 1
            if self._too_many or key in self._written:
                return None
            if self._lookups == 1 and self._count("deployments", operation, deadline) == 0:
                # The first registration on a new server: no deployment exists.
                self._listed_at = self._clock()
            if self._clock() - self._listed_at >= FRESH:
                if self._lookups <= FEW:
                    return None
                self._list(operation, deadline)
            return None if self._too_many else (self._deployments.get(key),)

    def _list(self, operation: str, deadline: float) -> None:
        flows = self._all("flows", operation, deadline)
        deployments = self._all("deployments", operation, deadline) if flows is not None else None
        if flows is None or deployments is None:
            self._too_many = True
            return
        names = {flow["id"]: flow["name"] for flow in flows}
        self._deployments = {(names.get(item["flow_id"], ""), item["name"]): item for item in deployments}
        self._listed_at = self._clock()

    def _all(self, kind: str, operation: str, deadline: float) -> list[Fields] | None:
        """Return all objects of a kind; None if they are too many or changed while they were counted."""
        count = self._count(kind, operation, deadline)
        if count >= MANY:
            return None
        objects: list[Fields] = self._api.post(f"/{kind}/filter", {}, operation=operation, deadline=deadline)
        return objects if len(objects) == count else None

    def _count(self, kind: str, operation: str, deadline: float) -> int:
        count: int = self._api.post(f"/{kind}/count", {}, operation=operation, deadline=deadline)
        return count
