"""What is photographed, and the browser that does it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tools import locked_environment
from tools.errors import Problem

LOCK: Final = "browser"
"""The lock of what drives the browser."""

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Programs that can take the pictures, the first that there is."""

_CAMERA: Final = Path(__file__).with_name("camera.py")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture of a page.

    Attributes:
        url: of the page.
        path: of the PNG file.
        shows: what is visible on the page when it is complete, as a selector of Playwright: `text=Runs`, `canvas`.
        click: what is clicked before that, as a selector as well.
        seconds: how long the page is left alone after that, for what it draws or still loads.
        width: in pixels of the page; the picture has half as many again.
        height: likewise.
        element: a CSS selector; the picture is of this part of the page.

    """

    url: str
    path: str
    shows: str
    seconds: float = 2
    width: int = 1200
    height: int = 800
    element: str = ""
    click: str = ""


def browser() -> str:
    """Return the path of a browser.

    Raises:
        Problem: there is none.

    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise Problem(
        f"No browser is installed that could take pictures: {', '.join(BROWSERS)}",
        remedy="Install Chromium, such as `apt-get install chromium` on Debian",
    )


def take(shots: Sequence[Shot], storage: Mapping[str, str] | None = None) -> None:
    """Take pictures, one after the other.

    Args:
        shots: what to take.
        storage: what the pages find in the browser's local storage.

    Raises:
        Problem: there is no browser, or a page does not show what it should.

    """
    request = {"browser": browser(), "shots": [asdict(shot) for shot in shots], "storage": dict(storage or {})}
    command = [str(locked_environment.programs(LOCK) / "python"), str(_CAMERA)]
    # On standard input, because the storage may have a password.
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            "A page could not be photographed",
            remedy="Open it in a browser (`make ui`, `make dashboard`), and see whether it shows what is waited for",
            detail=done.stderr,
        )
