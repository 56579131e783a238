"""A stack whose files are edited for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from tests.e2e.newcomer import Newcomer


@contextlib.contextmanager
def edited(newcomer: Newcomer, texts: Mapping[str, str], *arguments: str) -> Iterator[None]:
    """Write files of a clone and bring the stack up, and take both back in the end.

    Args:
        newcomer: whose clone it is.
        texts: path within the clone -> its new text; a file that did not exist is deleted in the end.
        arguments: of the first `make up`.

    """
    files = {newcomer.clone / name: text for name, text in texts.items()}
    before = {file: file.read_text() if file.exists() else None for file in files}
    for file, text in files.items():
        file.write_text(text)
    try:
        done = newcomer.make("up", *arguments)
        assert done.status == 0, done.progress
        yield
    finally:
        for file, earlier in before.items():
            if earlier is None:
                file.unlink()
            else:
                file.write_text(earlier)
        done = newcomer.make("up")
        assert done.status == 0, done.progress
