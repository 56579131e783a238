"""Lets Dask's objects go without the operator.

kopf puts a finalizer on each object that has a timer, and removes it when the object is deleted. Where operator or
permissions are gone by then, as while their namespace is deleted, the object is never deleted. The timers have nothing
to do at the end of an object, so it suffices that they stop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any, Final

import kopf

from ephemeral_dask.contract import dask

_NEWEST: Final = 1000

_gone: Final[deque[str]] = deque(maxlen=_NEWEST)
"""UIDs of the objects that were deleted last: kopf compares its timers once more with each of them."""


def install() -> None:
    """Do without finalizers; kopf removes those of an earlier version from the objects that it meets."""
    handlers = kopf.get_default_registry()._spawning._handlers  # noqa: SLF001  dask-kubernetes registers them so
    # No other filter is set: the operator's timers are about all objects of a kind.
    handlers[:] = [replace(each, requires_finalizer=False, when=_exists) for each in handlers]
    for plural in (dask.CLUSTERS, dask.AUTOSCALERS):
        kopf.on.event(dask.API_VERSION, plural, id="note-deletion")(note)


async def note(event: kopf.RawEvent, uid: str, **_: Any) -> None:
    """Remember what was deleted."""
    if event["type"] == "DELETED":
        _gone.append(uid)


def _exists(uid: str, **_: Any) -> bool:
    return uid not in _gone
