"""A process with everything that it starts, which ends with the block that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

GRACE: Final = 15.0
"""Seconds that it may take to end by itself."""


@contextmanager
def group(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], output: int | IO[Any], end: signal.Signals
) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own.

    Ctrl-C on the terminal reaches this program alone, which then ends the group in its own order.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: all of its variables.
        output: takes what it prints.
        end: the signal that its first process is asked to end with.

    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        yield process
    finally:
        with _undisturbed():
            if process.poll() is None:
                process.send_signal(end)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
            # What it started outlives it where it ended too early to end that.
            with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
