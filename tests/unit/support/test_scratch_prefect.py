"""The Prefect client of tests and benchmarks retries as Prefect's own does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.support import scratch_prefect

ANSWERS = [503, 503, 200]
"""The answers of a server whose database is locked twice."""


@pytest.fixture
def busy() -> Iterator[tuple[str, list[bytes]]]:
    """Serve the answers in order and repeat the last one; yield the address and the received bodies."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(ANSWERS[min(len(bodies), len(ANSWERS)) - 1])
            self.end_headers()
            self.wfile.write(b"served")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    server.server_close()


def test_a_request_that_is_answered_with_503_is_repeated_with_its_body(busy: tuple[str, list[bytes]]) -> None:
    address, bodies = busy
    with scratch_prefect.client(address) as client:
        answer = client.post("/deployments/", json={"name": "nightly"})
    assert (answer.status_code, answer.text) == (200, "served")
    assert bodies == [b'{"name":"nightly"}'] * 3


def test_after_the_last_retry_the_servers_answer_is_returned(
    busy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bodies = busy
    monkeypatch.setattr(scratch_prefect, "RETRY_SECONDS", 0.0)
    with scratch_prefect.client(address) as client:
        answer = client.post("/deployments/", json={})
    assert (answer.status_code, answer.text) == (httpx.codes.SERVICE_UNAVAILABLE, "served")
    assert len(bodies) == 1


def test_prefect_settings_of_the_users_shell_do_not_reach_a_scratch_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.com/api")
    variables = scratch_prefect.environment(tmp_path)
    assert "PREFECT_API_URL" not in variables
    assert (variables["PREFECT_HOME"], variables["DO_NOT_TRACK"]) == (str(tmp_path), "1")
