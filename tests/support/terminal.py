"""A person at a terminal, who answers what commands ask."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASKED_BY_PULUMI: Final = r"\x1b\[\?2004h\rvalue: "
"""What Pulumi prints before it waits for a value; it draws the line again when it has read one, without this code."""


@dataclass(frozen=True)
class Typed:
    """Commands that have ended.

    Attributes:
        status: the exit status.
        screen: all that the terminal has shown.

    """

    status: int
    screen: str


def typed(
    script: str,
    answers: Sequence[tuple[str, str]],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float = 120,
) -> Typed:
    """Type a script into a shell at a terminal of its own.

    Args:
        script: what is typed.
        answers: what each question looks like, a regular expression, and its answer, in the order of the questions.
        folder: in which the shell is.
        environment: of the shell.
        seconds: after which a script that still runs is ended.

    Returns:
        the status, which is not 0 if a question did not come or the script was ended.

    """
    # Programs ask for a password at the terminal that controls them, whatever their standard input is.
    command = ["setsid", "--ctty", "--wait", "bash", "-euc", script]
    terminal, screen = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env={**environment, "TERM": "xterm"}, stdin=screen, stdout=screen, stderr=screen
    ) as shell:
        os.close(screen)
        shown, left = _answer(terminal, answers, until=time.monotonic() + seconds)
        # Ends the session, if it has not ended.
        os.close(terminal)
        status = shell.wait(timeout=30)
    print(f"$ {script}\n{shown}")
    return Typed(status or len(left), shown)


def _answer(
    terminal: int, answers: Sequence[tuple[str, str]], *, until: float
) -> tuple[str, Sequence[tuple[str, str]]]:
    """Answer questions until nothing has the terminal open, and return what it showed and the answers that are left."""
    shown, position, left = "", 0, list(answers)
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            output = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says that the other side is closed
            break
        shown += output.decode(errors="replace")
        if left and (question := re.search(left[0][0], shown[position:])):
            position += question.end()
            os.write(terminal, f"{left.pop(0)[1]}\r".encode())
    return shown, left
