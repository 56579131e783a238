"""The page on a terminal."""

from __future__ import annotations


def show(text: str) -> None:
    """Print Markdown as a person reads it on a terminal.

    Args:
        text: of `render` or `failure`.

    """
    # A third of a second to import, and a pull request needs none of it.
    from rich.console import Console  # noqa: PLC0415
    from rich.markdown import Markdown  # noqa: PLC0415

    # Cells of a table hold one paragraph, so a line break of HTML would be left out.
    Console().print(Markdown(text.replace("<br>", "; ")))
