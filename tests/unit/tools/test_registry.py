from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tools import registry


class Refusing(BaseHTTPRequestHandler):
    """A registry that wants to know who asks."""

    def do_GET(self) -> None:
        self.send_response(401 if self.path == "/v2/" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def answering() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/team"
    server.shutdown()
    server.server_close()


def test_a_registry_that_asks_for_a_login_is_there(answering: str) -> None:
    assert registry.complaints(answering) == []


def test_a_registry_that_nobody_runs_is_refused_with_its_host_and_the_setting() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    [problem] = registry.complaints(f"{host}/team")
    assert host in problem.what
    assert "image.registry" in problem.remedy


def test_a_name_without_a_host_is_the_builders_own_registry_and_is_not_asked() -> None:
    assert registry.complaints("acme/workflows") == []
