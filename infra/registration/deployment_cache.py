"""All deployments of a server in a few requests, for a `pulumi up` that looks at many of them one by one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.registration.api import PrefectApi

FEW: Final = 5
"""Looks that are cheaper one by one than a listing of everybody's deployments."""

MANY: Final = 200
"""Deployments, or flows, that are too many to list: Prefect's own `PREFECT_API_DEFAULT_LIMIT`, a page."""

FRESH: Final = 5.0
"""Seconds for which a listing speaks for the server."""

Fields = dict[str, Any]


class Listing:
    """What a server had a moment ago. For looks only: whoever writes asks the server anew.

    Args:
        api: of the server.
        clock: monotonic seconds.

    """

    def __init__(self, api: PrefectApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._looks = 0
        self._too_many = False
        self._taken = -FRESH
        self._found: dict[tuple[str, str], Fields] = {}
        self._written: set[tuple[str, str]] = set()

    def written(self, flow: str, name: str) -> None:
        """Remember that this process has changed a deployment: no listing speaks for it from now on."""
        self._written.add((flow, name))

    def look(self, flow: str, name: str, *, operation: str, deadline: float) -> tuple[Fields | None] | None:
        """Return the deployment, or that there is none, in a tuple; None where only the server itself can say.

        Args:
            flow: name of the flow.
            name: of the deployment.
            operation: what for, in an error's sentence.
            deadline: seconds that it may take.

        """
        key = (flow, name)
        with self._lock:
            self._looks += 1
            if self._too_many or key in self._written:
                return None
            if self._looks == 1 and self._count("deployments", operation, deadline) == 0:
                # A first registration on a new server: there is nothing to look for.
                self._taken = self._clock()
            if self._clock() - self._taken >= FRESH:
                if self._looks <= FEW:
                    return None
                self._take(operation, deadline)
            return None if self._too_many else (self._found.get(key),)

    def _take(self, operation: str, deadline: float) -> None:
        flows = self._all("flows", operation, deadline)
        deployments = self._all("deployments", operation, deadline) if flows is not None else None
        if flows is None or deployments is None:
            self._too_many = True
            return
        names = {flow["id"]: flow["name"] for flow in flows}
        self._found = {(names.get(one["flow_id"], ""), one["name"]): one for one in deployments}
        self._taken = self._clock()

    def _all(self, kind: str, operation: str, deadline: float) -> list[Fields] | None:
        """Return all objects of a kind; None when they are many, or changed while they were counted."""
        count = self._count(kind, operation, deadline)
        if count >= MANY:
            return None
        found: list[Fields] = self._api.post(f"/{kind}/filter", {}, operation=operation, deadline=deadline)
        return found if len(found) == count else None

    def _count(self, kind: str, operation: str, deadline: float) -> int:
        count: int = self._api.post(f"/{kind}/count", {}, operation=operation, deadline=deadline)
        return count
