"""Writing files so that no reader ever sees half of one, and removing folders that may hold mounts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.cluster import mounts


def write(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Replace a file as a whole; it never exists with permissions other than `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder with its content, after unmounting what is mounted in it.

    Raises:
        OSError: something stays mounted in it. Nothing is removed then: the content may be another program's.

    """
    if not folder.exists():
        return
    mounts.unmount_below(folder)
    if points := mounts.below(folder, mounts.current()):
        raise OSError(f"{folder} still has {points[0]} mounted in it, so it is not removed")
    shutil.rmtree(folder)
