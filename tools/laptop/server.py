"""A Prefect server with its UI for the flow runs of this machine, with a home of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import psutil

from infra import naming
from tools import ports
from tools.cluster.process import tail
from tools.cluster.wait import until
from tools.errors import Problem
from tools.laptop.group import group
from tools.paths import ROOT
from tools.progress import step

_START: Final = 300.0
"""Seconds for a start on a busy machine, the creation of the database included."""


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment without the person's own Prefect: profile, API, key and settings.

    Args:
        home: for profiles, the database and the results.

    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**inherited, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@contextmanager
def running(home: Path) -> Iterator[str]:
    """Run the server and yield its address, that of the UI.

    Raises:
        Problem: it did not start; the detail is the end of its log.

    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = _port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "ops.prefect_server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    variables = {**environment(home), "PREFECT_API_URL": f"{address}/api"}
    with (
        log.open("w") as output,
        group(command, folder=ROOT, environment=variables, output=output, end=signal.SIGTERM) as process,
    ):
        with step("Starting a Prefect server"):
            until(lambda: process.poll() is not None or _serves(process.pid, port), seconds=_START, interval=0.5)
        if process.poll() is not None or not _serves(process.pid, port):
            raise Problem(
                "The Prefect server of `make laptop` did not start",
                remedy=f"Read the end of its log {log} below; without {home} it starts with a new database",
                detail=tail(log),
            )
        yield address


def _port() -> int:
    """Return the port that the Prefect UI usually has, or a free one while another program has it."""
    if port := ports.free(naming.SERVER_PORT) or ports.free(0):
        return port
    raise Problem("No port of 127.0.0.1 is free", remedy="End a program that has many of them open")


def _serves(pid: int, port: int) -> bool:
    """Return whether this very server answers: another program may have taken the port while it started."""
    try:
        process = psutil.Process(pid)
        sockets = [one for each in (process, *process.children(recursive=True)) for one in each.net_connections("inet")]
    except psutil.Error:
        return False
    own = any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets)
    return own and _answers(port)


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
