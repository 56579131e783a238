"""The client that tests and measurements use for a Prefect server of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tools import scratch_prefect

ANSWERS = [503, 503, 200]
"""Of a server whose database is taken twice."""


@pytest.fixture
def busy() -> Iterator[tuple[str, list[bytes]]]:
    """Serve the answers one after another, the last one for ever; give the address and the bodies received."""
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
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    server.server_close()


def test_what_the_database_had_no_turn_for_is_sent_again_whole(busy: tuple[str, list[bytes]]) -> None:
    address, bodies = busy
    with scratch_prefect.client(address) as client:
        answer = client.post("/deployments/", json={"name": "nightly"})
    assert (answer.status_code, answer.text) == (200, "served")
    assert bodies == [b'{"name":"nightly"}'] * 3


def test_patience_ends_with_the_servers_own_answer(
    busy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bodies = busy
    monkeypatch.setattr(scratch_prefect, "PATIENCE", 0.0)
    with scratch_prefect.client(address) as client:
        answer = client.post("/deployments/", json={})
    assert (answer.status_code, answer.text) == (httpx.codes.SERVICE_UNAVAILABLE, "served")
    assert len(bodies) == 1
