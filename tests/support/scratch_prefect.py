"""A Prefect server for a test or a benchmark, and a client of it."""

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
from tools.paths import ROOT

START: Final = 180.0
"""Seconds for a start on a busy machine, the creation of the database included."""

RETRY_SECONDS: Final = 30.0
"""Seconds for which the client repeats a request that the server answers with 503."""


@contextmanager
def running(home: Path, *options: str, settings: Mapping[str, str]) -> Iterator[str]:
    """Run a server on a free port of the loopback interface and yield the URL of its API.

    Args:
        home: an empty folder for its database and its log, `server.log`.
        options: further options of `prefect server start`.
        settings: Prefect settings as environment variables, in addition to those of `environment`.

    Raises:
        Problem: it did not start; the detail is the end of its log.

    """
    port = free_port()
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "ops.prefect_server", "start", *options, *address]
    log = home / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(home), **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        until(lambda: process.poll() is not None or answers(f"{url}/health"), seconds=START, interval=0.2)
        if process.poll() is not None or not answers(f"{url}/health"):
            how = (
                f"ended with {process.returncode}"
                if process.poll() is not None
                else f"did not answer within {START:.0f} s"
            )
            raise Problem(
                f"The Prefect server {how}",
                remedy="Read the end of its log below",
                detail=log.read_text()[-2000:],
            )
        yield url
    finally:
        # The command runs the server in a child process, so the whole process group has to end.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
                break


class RetryTransport(httpx.HTTPTransport):
    """Repeats requests that are answered with 503, as every client of Prefect does.

    SQLite admits one writer at a time. A server answers 503 to a request whose turn does not come in time, and has
    stored nothing of it.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer other than 503, or the last one within `RETRY_SECONDS`."""
        send = super().handle_request
        answers: list[httpx.Response] = []

        def served() -> bool:
            if answers:
                answers.pop().close()
            answers.append(send(request))
            return answers[0].status_code != httpx.codes.SERVICE_UNAVAILABLE

        until(served, seconds=RETRY_SECONDS, interval=0.2)
        return answers[0]


def client(url: str) -> httpx.Client:
    """Return a client of a server on this machine that retries as Prefect's own does."""
    return httpx.Client(base_url=url, transport=RetryTransport(), trust_env=False, timeout=60)


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment, with Prefect settings for a temporary server and without other ones."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def free_port() -> int:
    """Return a port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Return whether a GET of `url` is answered with 200."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
