"""Values as Markdown: every value from outside stands in a code span, where nothing is markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tools.summary.differences import ABSENT, unknown
from tools.summary.events import SECRET

_WIDTH: Final = 100
"""Characters that are shown of one value."""

_BEFORE: Final = 20
"""Characters that are shown before the first one that differs."""


def line(*cells: str) -> str:
    """Return a line of a table; a pipe would end its cell even inside a code span."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def value(content: Any) -> str:
    """Return one value."""
    return _known(content) or span(_text(content))


def values(old: Any, new: Any) -> tuple[str, str]:
    """Return two values; of long ones the part around the first difference."""
    texts = [_known(each) or _flat(_text(each)) for each in (old, new)]
    if _known(old) or _known(new) or max(map(len, texts)) <= _WIDTH:
        return value(old), value(new)
    same = next(
        (at for at, (left, right) in enumerate(zip(*texts, strict=False)) if left != right), min(map(len, texts))
    )
    start = max(0, same - _BEFORE)
    cut = [f"{'…' if start else ''}{text[start:]}" for text in texts]
    return span(cut[0]), span(cut[1])


def span(text: str, width: int = _WIDTH) -> str:
    """Return text as a code span of one line."""
    flat = _flat(text)
    flat = flat if len(flat) <= width else f"{flat[: width - 1]}…"
    # A backtick would end the span.
    flat = flat.replace("`", "'")
    return f"`{flat}`" if flat else "` `"


def spans(names: list[str], most: int = 5) -> str:
    """Return a list of names, the first few of them."""
    return ", ".join(map(span, names[:most])) + (" and others" if len(names) > most else "")


def before_after(old: str, new: str) -> str:
    """Return two texts, or one where they are equal."""
    return new if old == new else f"{old} → **{new}**"


def cores(number: float) -> str:
    """Return a number of cores."""
    return f"{round(number, 3):g}"


def memory(number: float) -> str:
    """Return a number of bytes."""
    for unit, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20)):
        if number >= size:
            return f"{number / size:.4g} {unit}B"
    return f"{number:g} B"


Unit = Callable[[float], str]


def _known(content: Any) -> str:
    if content is ABSENT or content is None:
        return "-"
    if content == SECRET:
        return "secret"
    # An image that is yet to be built has its repository and no digest.
    unbuilt = isinstance(content, str) and content.endswith("@")
    return "known after the update" if unbuilt or unknown(content) else ""


def _text(content: Any) -> str:
    return content if isinstance(content, str) and content else json.dumps(content, ensure_ascii=False)


def _flat(text: str) -> str:
    return " ".join(text.split())
