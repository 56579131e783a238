"""The how-to pages of the documentation, and their commands: blocks for a shell."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tools.paths import ROOT

PARTS: Final = ("Tutorial", "How-to")
"""Of the site, whose pages tell readers what to type."""


def pages() -> list[str]:
    """Return the pages of these parts, but for README, whose commands have tests of their own."""
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    parts = [entry[part] for entry in site["nav"] for part in PARTS if part in entry]
    return [page for page in below(parts) if page != "README.md"]


def blocks(page: str) -> list[str]:
    """Return the blocks for a shell of a page."""
    return found((ROOT / page).read_text(encoding="utf-8"))


def found(text: str) -> list[str]:
    """Return the blocks for a shell in a text."""
    return fenced(text, "bash", "sh", "shell", "console")


def fenced(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks of a text in some languages, also those inside of lists."""
    contents = re.findall(rf"^ *```(?:{'|'.join(languages)})\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(each).strip() for each in contents]


def below(entry: Any) -> Iterator[str]:
    """Yield the pages below an entry of the navigation."""
    match entry:
        case str():
            yield entry
        case dict():
            yield from below(list(entry.values()))
        case list():
            for each in entry:
                yield from below(each)
