"""The readiness probe of a server with SQLite: the volume, and what the server says about its database."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ephemeral_dask.contract import volumes
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


def usage(share: float) -> volumes.Usage:
    return volumes.Usage(total=1 << 30, free=int((1 - share) * (1 << 30)))


def warnings(folder: Path, share: float, monkeypatch: pytest.MonkeyPatch, *, times: tuple[float, ...]) -> list[str]:
    monkeypatch.setattr(server_probe.Usage, "of", classmethod(lambda _cls, _folder: usage(share)))
    log = folder / "log"
    log.touch()
    for now in times:
        server_probe.warn(folder, log=log, mark=folder / "mark", now=now)
    return log.read_text().splitlines()


def test_a_nearly_full_volume_is_a_warning_in_the_servers_log_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = warnings(tmp_path, 0.9, monkeypatch, times=(1000, 1010, 1000 + server_probe.WARN_EVERY))
    assert len(lines) == 2
    assert lines[0].startswith("WARNING | The volume at")
    assert "is 90% full (102 MiB of 1024 MiB are free)" in lines[0]
    assert "prefect.retention.runDays" in lines[0]


def test_a_volume_with_room_causes_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(tmp_path, 0.8, monkeypatch, times=(1000,)) == []


def test_a_warning_that_cannot_be_written_does_not_fail_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_probe.Usage, "of", classmethod(lambda _cls, _folder: usage(0.9)))
    server_probe.warn(tmp_path, log=tmp_path / "missing" / "log", mark=tmp_path / "mark")


def test_the_usage_and_whether_the_volume_can_be_written_to_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "ops.server_probe", "--usage", str(tmp_path)]
    answer = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert answer["problem"] == ""
    assert 0 <= answer["free"] < answer["total"]
