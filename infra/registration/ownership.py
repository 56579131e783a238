"""The owner of objects that have tags or a description, but no labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from infra.registration.provider import OWNER_MARK

_TAG: Final = f"{OWNER_MARK}="
_LINE: Final = re.compile(rf"(?:^|\n\n){re.escape(OWNER_MARK)}: (\S+)\s*\Z")


def with_owner_tag(tags: Sequence[str], stack: str) -> list[str]:
    """Return the tags with the owner."""
    return [*tags, f"{_TAG}{stack}"]


def split_owner_tag(tags: Sequence[str]) -> tuple[list[str], str]:
    """Return the tags without the owner, and the owner or an empty string."""
    stacks = [tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)]
    return [tag for tag in tags if not tag.startswith(_TAG)], stacks[0] if stacks else ""


def with_owner_line(text: str, stack: str) -> str:
    """Return a description that ends with the owner, which Prefect's UI shows."""
    return f"{text}\n\n{OWNER_MARK}: {stack}" if text else f"{OWNER_MARK}: {stack}"


def split_owner_line(text: str) -> tuple[str, str]:
    """Return the description without the owner, and the owner or an empty string."""
    match = _LINE.search(text)
    return (text[: match.start()], match[1]) if match else (text, "")
