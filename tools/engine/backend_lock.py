"""Locks of Pulumi's file backend, and whether the process that holds one is alive.

Pulumi's Automation API can only cancel: it deletes every lock of a stack, also that of an update that is running. It
has no way to ask who holds a lock. So the lock files are read here, and only here.
Source: `pkg/backend/diy/lock.go` of Pulumi.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from tools.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One lock file.

    Attributes:
        path: of the file.
        pid: process that holds it.
        host: machine of that process.
        since: when it was taken, as Pulumi writes it.

    """

    path: Path
    pid: int
    host: str
    since: str

    @property
    def is_dead(self) -> bool:
        """Whether its process has ended; a process of another machine counts as alive."""
        return self.host == socket.gethostname() and not _is_alive(self.pid)


def locks(backend: str, project: str, stack: str) -> list[Lock]:
    """Return the locks of a stack; none for a backend that is not a folder.

    Args:
        backend: its URL, such as `file:///home/me/state`.
        project: name of the Pulumi project.
        stack: name of the stack.

    """
    url = urlparse(backend)
    if url.scheme != "file":
        return []
    folder = Path(url.path) / ".pulumi" / "locks"
    return [_read(path) for path in sorted(folder.glob(f"organization/{project}/{stack}/*.json"))]


def _read(path: Path) -> Lock:
    content = json.loads(path.read_text())
    return Lock(path=path, pid=int(content["pid"]), host=content["hostname"], since=content["timestamp"])


def clear_dead(stack: str, held: list[Lock]) -> int:
    """Delete locks whose process has ended and return how many there were.

    Raises:
        Problem: a living process holds one of them; nothing was deleted.

    """
    for lock in held:
        if not lock.is_dead:
            raise Problem(
                f"Stack '{stack}' is being changed by process {lock.pid} on {lock.host} since {lock.since}",
                remedy="Wait for it to end, or end it and run `make unlock`",
            )
    for lock in held:
        lock.path.unlink(missing_ok=True)
    return len(held)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and belongs to somebody else
        return True
    return True
