"""Ending by SIGTERM as by Ctrl-C: what has begun is cleaned up."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

_STATUS: Final = 128 + signal.SIGTERM
"""The exit status that shells give to a process which ended by this signal."""


@contextlib.contextmanager
def termination_cleans_up() -> Iterator[None]:
    """Raise SystemExit at the first SIGTERM of a block, and let no further one interrupt the clean-up."""
    if threading.current_thread() is not threading.main_thread():
        # Python takes signals in the main thread alone.
        yield
        return

    def end(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(_STATUS)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
