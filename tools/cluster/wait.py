"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, seconds: float, interval: float = 0.05) -> bool:
    """Ask until the answer is yes.

    Args:
        condition: asked at once, then every `interval` seconds.
        seconds: how long to go on asking.
        interval: seconds between two questions.

    Returns:
        Whether the condition came true in time.

    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(interval)
    return True
