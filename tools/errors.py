"""The one exception that reaches a person."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818  a problem has a remedy; an error is what the machine had
    """Something that the person who runs the command can remedy.

    Args:
        what: what is wrong and where, as a sentence without its full stop.
        remedy: what to do about it, as a sentence without its full stop.
        detail: last log lines or the like, printed below the sentence.

    """

    def __init__(self, what: str, *, remedy: str, detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.detail = detail

    def __str__(self) -> str:
        end = "" if self.what.endswith((".", "?", "!")) else "."
        text = f"{self.what}{end} {self.remedy}."
        return f"{text}\n{self.detail.rstrip()}" if self.detail.strip() else text
