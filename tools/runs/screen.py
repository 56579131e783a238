"""Where a run is shown: lines that stay, and on a terminal a last line that always tells how far it is."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

_EVERY: Final = 15.0
"""Seconds between two progress lines where there is no terminal."""


class Screen:
    """Standard error, with a live line below what is printed where it is a terminal.

    Args:
        console: where to print; standard error by default.

    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, emoji=False)
        self._spinner = Spinner("dots")
        self._live = Live(self._spinner, console=self._console, transient=True, refresh_per_second=4)
        self._progress = ""
        self._urgent: str | None = None
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def progress(self, state: str, tasks: str, elapsed: float, *, urgent: str = "") -> None:
        """Tell how far the run is.

        Args:
            state: the run's state.
            tasks: its tasks in words; empty before the first one.
            elapsed: seconds since it was created.
            urgent: what makes a new line worth printing at once where there is no terminal, when it changes.

        """
        minutes, seconds = divmod(int(elapsed), 60)
        text = f"{tasks or state}, {minutes}:{seconds:02d}"
        if self._console.is_terminal:
            self._spinner.update(text=Text(text))
            return
        now = time.monotonic()
        self._urgent = urgent if self._urgent is None else self._urgent
        if not tasks or tasks == self._progress or (now - self._printed_at < _EVERY and urgent == self._urgent):
            return
        self._progress, self._urgent, self._printed_at = tasks, urgent, now
        self.line(f"    {text}")
