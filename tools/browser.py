"""The user's web browser, for the verbs that open a page."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import Final

_OFF: Final = ("0", "no", "false")
_DESKTOPS: Final = ("darwin", "win32")
"""Platforms that always have a display."""
_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


def show(url: str) -> None:
    """Show a page, where a person at a display has typed the command."""
    if is_wanted(os.environ, sys.platform, terminal=sys.stdout.isatty()):
        webbrowser.open(url)


def is_wanted(environment: Mapping[str, str], platform: str, *, terminal: bool) -> bool:
    """Tell whether a browser is opened: not by a script, not on a machine that is far away, and not with OPEN=0."""
    if not terminal or environment.get("OPEN", "").lower() in _OFF or environment.get("SSH_CONNECTION"):
        return False
    return platform in _DESKTOPS or any(environment.get(name) for name in _DISPLAYS)
