"""The one exception that reaches a person."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818  a problem has a cure; an error is what the machine had
    """Something that the person at the keyboard can cure.

    Args:
        what: what is wrong and where, as a sentence without its full stop.
        cure: what to do about it, as a sentence without its full stop.
        detail: last log lines or the like, printed below the sentence.

    """

    def __init__(self, what: str, *, cure: str, detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure
        self.detail = detail

    def __str__(self) -> str:
        text = f"{self.what}. {self.cure}."
        return f"{text}\n{self.detail.rstrip()}" if self.detail.strip() else text
