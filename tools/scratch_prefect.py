"""A Prefect server of its own for a test or a measurement."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from tools.cluster.wait import until
from tools.errors import Problem

START: Final = 180.0
"""Seconds for the first start, the making of its database included, on a busy machine."""

PATIENCE: Final = 30.0
"""Seconds for a write to get its turn at the server's database."""


@contextmanager
def running(home: Path, *options: str, settings: Mapping[str, str]) -> Iterator[str]:
    """Run a server on a free port of the loopback interface, give its API's address, and end it.

    Args:
        home: an empty folder, which gets its database and its log, `server.log`.
        options: of `prefect server start`.
        settings: Prefect's, as variables of the environment, beside those of `environment`.

    Raises:
        Problem: it did not start; the detail is its last words.

    """
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", *options, "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**environment(home), **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        until(lambda: process.poll() is not None or answers(f"{url}/health"), seconds=START, interval=0.2)
        if process.poll() is not None or not answers(f"{url}/health"):
            how = f"ended with {process.returncode}" if process.poll() is not None else f"was silent for {START:.0f} s"
            raise Problem(
                f"The Prefect server {how}",
                remedy="Mend what it says below",
                detail=log.read_text()[-2000:],
            )
        yield url
    finally:
        # The command starts the server proper as its child, so it is the group that must end.
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
                break


class Patient(httpx.HTTPTransport):
    """Send a request again for as long as the server has no turn at its database for it, as every client of Prefect's.

    A server whose services write as well answers 503 to a writer that SQLite locks out, and has kept nothing of it.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer that is not 503, or the last one within `PATIENCE`."""
        send = super().handle_request
        answers: list[httpx.Response] = []

        def served() -> bool:
            if answers:
                answers.pop().close()
            answers.append(send(request))
            return answers[0].status_code != httpx.codes.SERVICE_UNAVAILABLE

        until(served, seconds=PATIENCE, interval=0.2)
        return answers[0]


def client(url: str) -> httpx.Client:
    """Return a client of a server here that is as patient as Prefect's own."""
    return httpx.Client(base_url=url, transport=Patient(), trust_env=False, timeout=60)


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment with Prefect's settings replaced by those of a server that nobody sees."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Tell whether a server answers 200 there."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
