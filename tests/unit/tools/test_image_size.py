from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tools import image_size
from tools.errors import Problem
from tools.verbs import stack as verbs

MIB = 2**20
MANIFEST = {
    "config": {"digest": "sha256:c0"},
    "layers": [{"digest": "sha256:base", "size": 50 * MIB}, {"digest": "sha256:code", "size": MIB // 2}],
}
CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "history": [
        {"created_by": "debootstrap"},
        {"created_by": "ENV HOME=/tmp", "empty_layer": True},
        {"created_by": "COPY flows /app/flows # buildkit"},
    ],
}
INDEX = {
    "manifests": [
        {"digest": "sha256:amd", "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:proof", "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
}
CONTENT: Mapping[str, Any] = {
    "manifests/sha256:one": MANIFEST,
    "manifests/sha256:index": INDEX,
    "manifests/sha256:amd": MANIFEST,
    "manifests/v1": MANIFEST,
    "blobs/sha256:c0": CONFIG,
}


def read(kind: str, key: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = CONTENT[f"{kind}/{key}"]
    return content


@pytest.mark.parametrize("digest", ["sha256:one", "sha256:index"])
def test_an_image_weighs_what_its_layers_weigh_and_each_names_its_line(digest: str) -> None:
    [image] = image_size.images(digest, read)
    assert (image.platform, image.size) == ("linux/amd64", 50 * MIB + MIB // 2)
    assert [layer.made_by for layer in image.layers] == ["debootstrap", "COPY flows /app/flows # buildkit"]


def test_layers_of_a_base_image_without_a_history_do_not_get_the_lines_of_those_above() -> None:
    def without(kind: str, key: str) -> Mapping[str, Any]:
        filled = {"created_by": "[flow 4/4] COPY flows /app/flows", "comment": "buildkit.exporter.image.v0"}
        return {**CONFIG, "history": [*CONFIG["history"][1:], filled]} if kind == "blobs" else read(kind, key)

    [image] = image_size.images("sha256:one", without)
    assert [layer.made_by for layer in image.layers] == ["(base image)", "COPY flows /app/flows # buildkit"]


def test_a_history_that_does_not_match_the_layers_names_none_rather_than_the_wrong_one() -> None:
    def other(kind: str, key: str) -> Mapping[str, Any]:
        return {**CONFIG, "history": CONFIG["history"][:1]} if kind == "blobs" else read(kind, key)

    [image] = image_size.images("sha256:one", other)
    assert [layer.made_by for layer in image.layers] == ["", ""]


def test_a_report_has_the_whole_first_and_fits_a_terminal() -> None:
    layers = (image_size.Layer(digest="sha256:" + "a" * 64, size=3 * MIB, made_by="RUN " + "x" * 500),)
    image = image_size.Image(platform="linux/arm64", layers=layers)
    title, total, layer = image_size.lines("flow image", "r/flow@sha256:1", [image])
    assert title == "flow image: r/flow@sha256:1"
    assert total.split() == ["3.00", "MiB", "linux/arm64,", "1", "layers,", "compressed"]
    assert layer.split()[:3] == ["3.00", "MiB", "a" * 12]
    assert len(layer) <= 100


@pytest.fixture
def serving() -> Iterator[str]:
    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/v2/team/flow/")
            known = path in CONTENT and ("blobs" in path or "oci.image.index" in self.headers["Accept"])
            self.send_response(200 if known else 401 if "private" in self.path else 404)
            self.end_headers()
            self.wfile.write(json.dumps(CONTENT.get(path)).encode())

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("which", ["@sha256:index", ":v1", ":old@sha256:one"])
def test_an_image_is_found_by_digest_and_by_tag(serving: str, which: str) -> None:
    [image] = image_size.measure(f"{serving}/team/flow{which}")
    assert len(image.layers) == 2


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ("{}/team/flow@sha256:gone", "HTTP 404"),
        ("{}/private/flow@sha256:one", "imagetools inspect"),
        ("127.0.0.1:1/team/flow@sha256:one", "does not answer"),
        ("team/flow@sha256:one", "does not name a registry"),
    ],
)
def test_what_cannot_be_measured_says_why(serving: str, image: str, sentence: str) -> None:
    with pytest.raises(Problem) as caught:
        image_size.measure(image.format(serving))
    assert sentence in str(caught.value)


def test_both_images_of_a_stack_are_printed_and_a_stack_without_any_is_refused(
    serving: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = dict.fromkeys(("flowImage", "platformImage"), f"{serving}/team/flow@sha256:one")
    monkeypatch.setattr("tools.verbs.stack.connect", lambda _: None)
    monkeypatch.setattr("tools.stack.Stack.outputs", lambda _: outputs)
    assert verbs.sizes(argparse.Namespace(stack="dev")) == 0
    printed = capsys.readouterr().out
    assert "flow image: " in printed
    assert "platform image: " in printed
    outputs.clear()
    with pytest.raises(Problem, match="make up STACK=dev"):
        verbs.sizes(argparse.Namespace(stack="dev"))
