"""Ending by SIGTERM, or with the terminal, as by Ctrl-C: what has begun is cleaned up."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""What ends a process from outside; the second one comes when its terminal is closed."""


@contextlib.contextmanager
def termination_cleans_up() -> Iterator[None]:
    """Raise SystemExit at the first SIGTERM or SIGHUP of a block, and let no further one interrupt the clean-up.

    The exit status is the one that shells give to a process which ended by the signal. A signal that is ignored when
    the block begins stays ignored: `nohup` asks for that.

    """
    if threading.current_thread() is not threading.main_thread():
        # Python takes signals in the main thread alone.
        yield
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN}

    def end(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGHUP:
            _leave_terminal()
        sys.exit(128 + number)

    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave_terminal() -> None:
    """Discard further output: printing to a terminal that was closed is an error, which would end the clean-up."""
    null = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        if stat.S_ISCHR(os.fstat(output).st_mode):
            os.dup2(null, output)
    os.close(null)
