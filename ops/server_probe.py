"""Readiness probe of a Prefect server with SQLite: asks whether its database answers, and writes to its volume.

    python -S -m ops.server_probe http://127.0.0.1:4200/api/ready /data

It warns in the server's log before the volume is full. `python -S -m ops.server_probe --usage /data` prints how full it
is. The probe runs every few seconds, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from ephemeral_dask.contract.volumes import Usage

_TIMEOUT: Final = 5.0
_FILE: Final = ".writable"
_SIZE: Final = 256 * 1024
"""Bytes that must be writable: SQLite's log of changes needs more than a block."""

_LOG: Final = Path("/proc/1/fd/1")
"""Standard output of the container's first process, which is the log of the server."""

_WARNED: Final = Path("/tmp/.volume-warning")  # noqa: S108  the pod's own emptyDir
WARN_EVERY: Final = 3600.0
"""Seconds between two warnings."""


def problem(url: str, volume: Path) -> str:
    """Return why the server is not ready, or an empty string."""
    return _unwritable(volume) or _unavailable(url)


def warn(volume: Path, *, log: Path = _LOG, mark: Path = _WARNED, now: float | None = None) -> None:
    """Write to the server's log when the volume is nearly full, once an hour."""
    now = time.time() if now is None else now
    with contextlib.suppress(OSError):  # a warning that cannot be written must not fail the probe
        usage = Usage.of(volume)
        if not usage.is_nearly_full or (mark.exists() and now - mark.stat().st_mtime < WARN_EVERY):
            return
        with log.open("a") as stream:
            stream.write(
                f"WARNING | The volume at {volume} is {usage}. When it is full, the server stores no run and no log."
                " Enlarge prefect.database.storage, or lower prefect.retention.runDays.\n"
            )
        mark.touch()
        os.utime(mark, (now, now))


def _unwritable(volume: Path) -> str:
    file = volume / _FILE
    try:
        with file.open("wb") as stream:
            stream.write(b"\0" * _SIZE)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return f"{volume} cannot be written to: {error.strerror}"
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    return ""


def _unavailable(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT):
            return ""
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"


def _usage(volume: Path) -> str:
    usage = Usage.of(volume)
    return json.dumps({"total": usage.total, "free": usage.free, "problem": _unwritable(volume)})


if __name__ == "__main__":
    if sys.argv[1] == "--usage":
        print(_usage(Path(sys.argv[2])))
    else:
        warn(Path(sys.argv[2]))
        sys.exit(problem(sys.argv[1], Path(sys.argv[2])) or 0)
