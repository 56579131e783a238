from __future__ import annotations

import base64
import hashlib
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tools.errors import Problem
from tools.toolchain.build import ensure
from tools.toolchain.failure import LOG_LINES, problem
from tools.toolchain.group import Group, Module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""Name and key of a checksum database, valid in form; no server has them."""

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="runs the real go")

DEPENDENCY = "example.com/dependency"
"""A module that only the test's own proxy serves."""


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text(f"module example\n\ngo 1.21\n\nrequire {DEPENDENCY} v1.0.0\n")
    (folder / "main.go").write_text(f'package main\n\nimport _ "{DEPENDENCY}"\n\nfunc main() {{}}\n')
    (folder / "go.sum").write_text(f"{DEPENDENCY} v1.0.0 h1:{'A' * 43}=\n{DEPENDENCY} v1.0.0/go.mod h1:{'A' * 43}=\n")
    for name in ("GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOPROXY", "off")
    module = Module(folder=folder, requires=DEPENDENCY, programs={"hello": "."})
    return Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)


@pytest.fixture
def refusing_proxy(request: pytest.FixtureRequest) -> Iterator[str]:
    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(request.param)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def failure(group: Group, tmp_path: Path) -> Problem:
    with pytest.raises(Problem) as caught:
        ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})
    assert caught.value.what.startswith("hello 1.0.0 could not be built")
    return caught.value


def serve_dependency(tmp_path: Path) -> str:
    """Return a module proxy, as a folder, that serves the dependency."""
    folder = tmp_path / "proxy" / DEPENDENCY / "@v"
    folder.mkdir(parents=True)
    (folder / "list").write_text("v1.0.0\n")
    (folder / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    (folder / "v1.0.0.mod").write_text(f"module {DEPENDENCY}\n")
    with zipfile.ZipFile(folder / "v1.0.0.zip", "w") as archive:
        archive.writestr(f"{DEPENDENCY}@v1.0.0/go.mod", f"module {DEPENDENCY}\n")
        archive.writestr(f"{DEPENDENCY}@v1.0.0/dependency.go", "package dependency\n")
    return (tmp_path / "proxy").as_uri()


@needs_go
def test_an_unreachable_module_proxy_is_named_as_the_cause(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    raised = failure(group, tmp_path)
    assert "proxy cannot be reached" in raised.what
    assert "GOPROXY" in raised.remedy
    assert "connection refused" in raised.detail


@needs_go
@pytest.mark.parametrize(
    ("refusing_proxy", "words"),
    [
        (401, "refuses to serve"),
        (403, "refuses to serve"),
        (404, "does not have"),
        (410, "refuses to serve"),
        (503, "cannot be reached"),
    ],
    indirect=["refusing_proxy"],
)
def test_a_module_proxy_that_refuses_is_named_as_the_cause(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing_proxy: str, words: str
) -> None:
    monkeypatch.setenv("GOPROXY", refusing_proxy)
    assert words in failure(group, tmp_path).what


@needs_go
def test_a_forbidden_download_is_named_as_the_cause(group: Group, tmp_path: Path) -> None:
    assert "GOPROXY=off" in failure(group, tmp_path).what


@needs_go
def test_a_module_whose_content_differs_from_go_sum_is_not_compiled(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", serve_dependency(tmp_path))
    assert "differs from the committed go.sum" in failure(group, tmp_path).what


@needs_go
def test_a_module_without_its_sum_in_go_sum_is_not_compiled(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", serve_dependency(tmp_path))
    (group.modules[0].folder / "go.sum").unlink()
    raised = failure(group, tmp_path)
    assert "do not match" in raised.what
    assert "go mod tidy" in raised.remedy


@needs_go
def test_a_module_in_go_sum_is_compiled_without_a_checksum_database(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", serve_dependency(tmp_path))
    monkeypatch.setenv("GOSUMDB", f"{DATABASE} http://127.0.0.1:1")
    files = {
        "dependency.go": b"package dependency\n",
        "go.mod": f"module {DEPENDENCY}\n".encode(),
    }
    prefix = f"{DEPENDENCY}@v1.0.0/"
    (group.modules[0].folder / "go.sum").write_text(
        f"{DEPENDENCY} v1.0.0 {h1({prefix + name: data for name, data in files.items()})}\n"
        f"{DEPENDENCY} v1.0.0/go.mod {h1({'go.mod': files['go.mod']})}\n"
    )
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"]
    assert (folder / "hello").is_file()


def h1(files: dict[str, bytes]) -> str:
    """Return Go's hash of a set of files (golang.org/x/mod/sumdb/dirhash.Hash1)."""
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("go: write /x/y: no space left on device", "disk is full"),
        ("k8s.io/kubernetes: compile: signal: killed", "memory ran out"),
        ('Get "https://h/x": dial tcp: lookup h on 10.0.0.1:53: no such host', "cannot be reached"),
        ('Get "https://h/x": dial tcp 10.0.0.1:443: i/o timeout', "cannot be reached"),
        ('Get "https://h/x": net/http: TLS handshake timeout', "cannot be reached"),
        ('Get "https://h/x": proxyconnect tcp: EOF', "cannot be reached"),
        ('Get "https://h/x": Proxy Authentication Required', "requires a password"),
        ('Get "https://h/x": tls: failed to verify certificate: x509: unknown authority', "not trusted"),
    ],
)
def test_output_of_go_is_explained(output: str, words: str, group: Group, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"go: downloading example.com/x v1.0.0\n{output}\n")
    explained = problem(group, log)
    assert words in explained.what
    assert output in explained.detail


def test_an_unknown_failure_names_the_group_the_log_and_a_remedy(group: Group, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    explained = problem(group, log)
    assert explained.what == "hello 1.0.0 could not be built"
    assert explained.remedy
    assert explained.detail.splitlines() == [
        *(f"line {number}" for number in range(100 - LOG_LINES, 100)),
        f"The whole log: {log}",
    ]
