"""The registry client, with registries of the test's own."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tools import registry
from tools.errors import Problem

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """What a registry has, and the requests that it got.

    Attributes:
        host: host and port.
        content: path below `/v2/` -> body.
        requests: method and path of each request.
        refuses: the method that it answers with 507.

    """

    host: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuses: str = ""


@pytest.fixture
def serving() -> Iterator[Registry]:
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, **headers: str) -> None:
            self.send_response(status if self.command != state.refuses else 507)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            path = url.path.removeprefix("/v2/")
            state.requests.append(f"{self.command} {path}")
            if self.command == "POST":
                # As Debian's registry answers: an absolute address, with a query that the client has to keep.
                self.answer(202, Location=f"http://{self.headers['Host']}{url.path}1?_state=a%3D%3D")
            elif self.command == "PUT":
                query = parse_qs(url.query)
                if "digest" in query:
                    assert query["_state"] == ["a=="]
                    path = path.replace("uploads/1", query["digest"][0])
                else:
                    state.content[path.replace("latest", f"sha256:{hashlib.sha256(body).hexdigest()}")] = body
                state.content[path] = body
                self.answer(201)
            else:
                self.answer(200 if path == "" or path in state.content else 404)

        do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815  the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    with running(Handler) as host:
        state.host = host
        yield state


@pytest.fixture
def refusing() -> Iterator[str]:
    """Run a registry that requires a login."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401 if self.path == "/v2/" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with running(Handler) as host:
        yield host


class running:  # noqa: N801  reads as a verb in a with statement
    """Run an HTTP server for the time of a block."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def unused_host() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_a_registry_that_requires_a_login_answers(refusing: str) -> None:
    assert registry.problems(f"{refusing}/team") == []


def test_a_registry_that_does_not_answer_is_a_problem_with_its_host_and_the_setting(unused_host: str) -> None:
    [problem] = registry.problems(f"{unused_host}/team")
    assert unused_host in problem.what
    assert "image.registry" in problem.remedy


def test_an_invalid_host_is_a_problem() -> None:
    [problem] = registry.problems("localhost:port/team")
    assert "localhost:port" in problem.what


def test_the_builders_default_registry_is_not_checked() -> None:
    assert registry.problems("acme/workflows") == []


def test_a_registry_is_ready_when_it_accepts_requests_without_a_login(
    serving: Registry, refusing: str, unused_host: str
) -> None:
    assert registry.is_ready(serving.host)
    assert not registry.is_ready(refusing)
    assert not registry.is_ready(unused_host)


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert registry.is_ready(serving.host)


def push(host: str, folder: Path) -> str:
    """Push an image of one blob and return the digest of its manifest."""
    (folder / "layer").write_bytes(b"a layer")
    manifest = b'{"layers": []}'
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    blobs = [("sha256:1", folder / "layer")]
    registry.push(host, "tool", manifest=manifest, media_type=MEDIA_TYPE, digest=digest, blobs=blobs)
    return digest


def test_a_pushed_image_has_its_blobs_its_manifest_and_the_tag(serving: Registry, tmp_path: Path) -> None:
    digest = push(serving.host, tmp_path)
    assert serving.content == {
        "tool/blobs/sha256:1": b"a layer",
        "tool/manifests/latest": b'{"layers": []}',
        f"tool/manifests/{digest}": b'{"layers": []}',
    }


def test_a_second_push_sends_nothing(serving: Registry, tmp_path: Path) -> None:
    digest = push(serving.host, tmp_path)
    serving.requests.clear()
    push(serving.host, tmp_path)
    assert serving.requests == [f"HEAD tool/manifests/{digest}"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_refused_push_names_status_and_image(serving: Registry, tmp_path: Path, method: str) -> None:
    serving.refuses = method
    with pytest.raises(Problem, match=f"answers HTTP 507 instead of .* to {method} while the image tool is pushed"):
        push(serving.host, tmp_path)


def test_a_push_to_a_registry_that_does_not_answer_is_a_problem(unused_host: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=f"{unused_host} stopped answering"):
        push(unused_host, tmp_path)


@pytest.fixture
def full() -> Iterator[str]:
    """Run a registry with one manifest and one blob."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = {"/v2/tool/manifests/v1": b'{"layers": []}', "/v2/tool/blobs/sha256:1": b"a layer"}.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None: ...

    with running(Handler) as host:
        yield host


def test_a_digest_is_that_of_the_manifest_which_a_tag_names(full: str) -> None:
    expected = hashlib.sha256(b'{"layers": []}').hexdigest()
    assert registry.digest(f"{full}/tool", "v1") == f"sha256:{expected}"
    with pytest.raises(Problem, match="answers HTTP 404 for tool, manifests v2"):
        registry.digest(f"{full}/tool", "v2")


def test_a_blob_is_a_file_for_the_time_of_a_block(full: str) -> None:
    with registry.blob(f"{full}/tool", "sha256:1") as file:
        assert file.read() == b"a layer"
    assert file.closed
    with pytest.raises(Problem, match="answers HTTP 404"), registry.blob(f"{full}/tool", "sha256:2"):
        pass
