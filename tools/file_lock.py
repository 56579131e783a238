"""A lock between processes: a file that the kernel keeps locked while its holder runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.progress import step


@contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock file at `path`; print which process this one waits for.

    The kernel releases the lock when its holder ends, in whatever way, so a lock is never stale.

    Args:
        path: the lock file. It is created when missing, and it is not removed.
        purpose: what the holder does, as in "process 7, which `builds etcd 3.6.4`".

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode() or "another process"
            with step(f"waiting for {holder}, which {purpose}"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)
