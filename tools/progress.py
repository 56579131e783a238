"""Progress that a person can follow: in place on a terminal, line by line in a log."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

HEARTBEAT: Final = 30.0
"""Seconds between two lines about the same long step in a log."""

_lock = threading.Lock()
_live = threading.Lock()
"""Held while a status line is on the terminal: there is one at a time."""


def duration(seconds: float) -> str:
    """Return a time span for people: `0.4 s`, `12 s`, `4 min 30 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def counted(number: int, noun: str) -> str:
    """Return a number of things for people: `1 deployment`, `2 deployments`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say(text: str) -> None:
    """Print one line about progress; standard output is kept for results."""
    with _lock:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def status(describe: Callable[[], str]) -> Iterator[None]:
    """Show what is happening while the block runs.

    Args:
        describe: returns one line about the present moment, empty for nothing. Called from other threads.

    On a terminal the line is rewritten in place and disappears at the end. In a log it is printed every 30 s. Inside
    another `status` only the outer one is shown.

    """
    if not _live.acquire(blocking=False):
        yield
        return
    try:
        # The toolchain is also built by a Python without this project's packages.
        in_place = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
        with _on_terminal(describe) if in_place else _in_log(describe):
            yield
    finally:
        _live.release()


@contextmanager
def _on_terminal(describe: Callable[[], str]) -> Iterator[None]:
    # A third of a second to import, and a log needs none of it.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    spinner = Spinner("dots")

    def line() -> Spinner | Text:
        if not (text := describe()):
            return Text("")
        spinner.update(text=Text(f"  {text}", overflow="ellipsis", no_wrap=True))
        return spinner

    # Live prints what others write to standard error above its own line.
    with Live(get_renderable=line, console=Console(stderr=True), transient=True, refresh_per_second=8):
        yield


@contextmanager
def _in_log(describe: Callable[[], str]) -> Iterator[None]:
    finished = threading.Event()

    def beat() -> None:
        while not finished.wait(HEARTBEAT):
            if text := describe():
                say(f"    {text}")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        finished.set()


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, show that it is running, and print how long it took.

    A step that fails prints nothing at its end: the error does.
    """
    started = time.monotonic()
    say(f"==> {title}")
    with status(lambda: f"{title}: {duration(time.monotonic() - started)} so far"):
        yield
    say(f"    {title}: done in {duration(time.monotonic() - started)}")
