"""Readiness probe of a Prefect server with SQLite: asks whether its database answers, and writes to its volume.

    python -S -m ops.server_probe http://127.0.0.1:4200/api/ready /data

It runs every few seconds, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

_TIMEOUT: Final = 5.0
_FILE: Final = ".writable"
_SIZE: Final = 256 * 1024
"""Bytes that must be writable: SQLite's log of changes needs more than a block."""


def problem(url: str, volume: Path) -> str:
    """Return why the server is not ready, or an empty string."""
    return _unwritable(volume) or _unavailable(url)


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


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1], Path(sys.argv[2])) or 0)
