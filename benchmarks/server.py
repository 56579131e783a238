"""A fresh Prefect server for one measurement, which counts what reaches it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

START: Final = 180.0
"""Seconds for the first start, the making of its database included, on a busy machine."""

_ACCESS: Final = re.compile(r'"(POST|PUT|PATCH|DELETE) (\S+) HTTP')


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        url: of its API.
        log: its access log.

    """

    url: str
    log: Path

    def writes(self, since: int = 0) -> list[str]:
        """Return the requests that may change something; some questions are POSTs as well.

        Args:
            since: `mark()` from which they count.

        """
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(since)
            found = [f"{method} {path}" for method, path in _ACCESS.findall(log.read())]
        return [each for each in found if not each.endswith(("/filter", "/count", "/read"))]

    def mark(self) -> int:
        """Return where the access log ends now."""
        return self.log.stat().st_size


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start a server with an empty database in `folder`, and end it.

    Raises:
        RuntimeError: it did not start; the text has its last words.

    """
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(url=f"http://127.0.0.1:{port}/api", log=folder / "server.log")
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-services"]
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment(folder),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(server, process)
        yield server
    finally:
        # The command starts the server proper as its child, so it is the group that must end.
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
                break


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment with Prefect's settings replaced by those of a measurement."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        # At this level the server writes its access log.
        "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while not _answers(server.url):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the Prefect server did not start:\n{server.log.read_text()[-2000:]}")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
