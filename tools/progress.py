"""Progress that a person can follow, on a terminal and in a log alike."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT = 30.0
"""Seconds between two signs of life of a long step: long enough for a log, short enough to believe in."""

_lock = threading.Lock()


def duration(seconds: float) -> str:
    """Return a span of time as people say it: `0.4 s`, `12 s`, `4 min 30 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def say(text: str) -> None:
    """One line for the person who waits; standard output belongs to results."""
    with _lock:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, give a sign of life while it runs, and say how long it took.

    A step that fails says nothing of its own: the error that ends it does.
    """
    started = time.monotonic()
    say(f"==> {title}")
    finished = threading.Event()

    def beat() -> None:
        while not finished.wait(HEARTBEAT):
            say(f"    {title}: {duration(time.monotonic() - started)} so far")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        finished.set()
    say(f"    {title}: done in {duration(time.monotonic() - started)}")
