"""The readiness probe of a server with SQLite: the volume, and what the server says about its database."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ops import server_probe
from tests.language import ROOT


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Ready(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(b"Database is not available")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    listening = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield listening
    listening.shutdown()
    listening.server_close()


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/api/ready"


def test_a_server_whose_database_answers_and_whose_volume_is_writable_is_ready(
    server: HTTPServer, tmp_path: Path
) -> None:
    assert server_probe.problem(url(server), tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_a_problem(server: HTTPServer, tmp_path: Path) -> None:
    server.RequestHandlerClass.status = 503  # type: ignore[attr-defined]
    assert "answers 503: Database is not available" in server_probe.problem(url(server), tmp_path)


def test_a_server_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    assert "does not answer" in server_probe.problem("http://127.0.0.1:9/api/ready", tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
def test_a_volume_that_cannot_be_written_to_is_a_problem(
    error: OSError, server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("ops.server_probe.os.fsync", refuse)
    assert error.strerror in server_probe.problem(url(server), tmp_path)
    assert list(tmp_path.iterdir()) == [], "the probe's own file would fill the volume"


def test_it_needs_no_installed_package(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "ops.server_probe", "http://127.0.0.1:9/", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "does not answer" in ran.stderr
