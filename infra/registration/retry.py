"""When a request to Prefect is sent again, and how long to wait before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say "later"; sent again until the deadline."""

_SERVER_ERROR_TRIES: Final = 3
"""Attempts of a request that gets another 5xx: SQLite answers 500 while it is locked, and so does a defect."""

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0
_LONGEST_REQUEST: Final = 30.0


class RetryPolicy:
    """The attempts of one request: exponential waits with jitter until a deadline.

    Args:
        end: the deadline on the clock.
        clock: returns monotonic seconds.
        pause: waits for a number of seconds.

    """

    def __init__(self, end: float, *, clock: Callable[[], float], pause: Callable[[float], None]) -> None:
        self._end = end
        self._clock = clock
        self._pause = pause
        self._attempts = 1
        self._wait = _FIRST_WAIT
        self._requested: float | None = None

    @property
    def timeout(self) -> float:
        """Seconds that the next attempt may take."""
        return min(_LONGEST_REQUEST, max(self._end - self._clock(), 0.1))

    def should_retry(self, status: int) -> bool:
        """Return whether a request with that response is worth another attempt."""
        if status in _TRANSIENT:
            return True
        return status >= 500 and self._attempts < _SERVER_ERROR_TRIES and self._clock() < self._end

    def wait_at_least(self, seconds: float | None) -> None:
        """Use the server's own wait (`Retry-After`) for the next attempt, if it sent one."""
        self._requested = seconds

    def wait(self) -> bool:
        """Wait before the next attempt; return False at once if the deadline is too near."""
        jitter = random.uniform(0.7, 1.3)  # noqa: S311  no secret
        seconds = self._wait * jitter if self._requested is None else self._requested
        if self._clock() + seconds >= self._end:
            return False
        self._pause(seconds)
        self._attempts += 1
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        self._requested = None
        return True
