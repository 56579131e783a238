"""A Kubernetes API over HTTP that lists what it is given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse


@dataclass
class FakeKubernetes:
    """What is in the cluster.

    Attributes:
        clusters: DaskClusters.
        pods: pods.
        selectors: label selectors that were asked for.

    """

    kubeconfig: str = ""
    clusters: list[dict[str, Any]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)

    def answer(self, path: str) -> dict[str, Any]:
        url = urlparse(path)
        place = url.path.rstrip("/")
        if place == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if place == "/api":
            return {"versions": ["v1"]}
        if place == "/apis":
            return {"groups": []}
        if place == "/api/v1":
            pod = {"name": "pods", "kind": "Pod", "namespaced": True, "singularName": "pod", "shortNames": ["po"]}
            return {"resources": [pod]}
        self.selectors += parse_qs(url.query).get("labelSelector", [])
        items = self.clusters if place.endswith("/daskclusters") else self.pods
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}


@contextmanager
def fake_kubernetes(folder: Path) -> Iterator[FakeKubernetes]:
    """Serve an empty cluster until the block ends.

    Args:
        folder: gets a kubeconfig.

    """
    cluster = FakeKubernetes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(cluster.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "fake", "user": {"token": "a"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    cluster.kubeconfig = str(file)
    yield cluster
    server.shutdown()
    server.server_close()
