"""The mark of ownership on objects that have tags or a description, but no labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from infra.registration.provider import OWNER_MARK

_TAG: Final = f"{OWNER_MARK}="
_LINE: Final = re.compile(rf"(?:^|\n\n){re.escape(OWNER_MARK)}: (\S+)\s*\Z")


def with_owner_tag(tags: Sequence[str], stack: str) -> list[str]:
    """Return the tags with the mark of a stack."""
    return [*tags, f"{_TAG}{stack}"]


def split_owner_tag(tags: Sequence[str]) -> tuple[list[str], str]:
    """Return the tags without the mark, and the stack that it names, or nothing."""
    stacks = [tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)]
    return [tag for tag in tags if not tag.startswith(_TAG)], stacks[0] if stacks else ""


def with_owner_line(text: str, stack: str) -> str:
    """Return a description that ends with the mark of a stack, which a reader of Prefect's UI sees as well."""
    return f"{text}\n\n{OWNER_MARK}: {stack}" if text else f"{OWNER_MARK}: {stack}"


def split_owner_line(text: str) -> tuple[str, str]:
    """Return the description without the mark, and the stack that it names, or nothing."""
    found = _LINE.search(text)
    return (text[: found.start()], found[1]) if found else (text, "")
