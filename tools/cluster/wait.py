"""Waiting for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, seconds: float, interval: float = 0.05) -> bool:
    """Wait until a condition holds.

    Args:
        condition: checked at once, then every `interval` seconds.
        seconds: the longest time to wait.
        interval: seconds between two checks.

    Returns:
        Whether the condition held in time.

    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(interval)
    return True
