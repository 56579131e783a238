"""Writing files so that nobody ever reads half of one, and removing folders that may hold mounts."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster import mounts
from tools.progress import say


def write(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Replace a file as a whole; it never exists with other rights than `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, but first what is mounted there: a mount may lead to things that are not ours."""
    if not folder.exists():
        return
    mounts.unmount_below(folder)
    if left := mounts.below(folder, mounts.current()):
        raise OSError(f"{folder} still has {left[0]} mounted in it, so it is not removed")
    shutil.rmtree(folder)


@contextmanager
def locked(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Hold a lock that the kernel lets go of when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"    waiting for {waiting_for} to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
