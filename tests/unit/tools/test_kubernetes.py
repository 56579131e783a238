"""The reader of a cluster, against a Kubernetes API of a few routes, and what the verbs say about a stack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
import yaml

from infra import settings
from tools.errors import Problem
from tools.kubernetes import Kubernetes, is_ready
from tools.target import Target
from tools.verbs.common import Selection, require_up

NAMESPACED = "/apis/apps/v1/namespaces/flows/deployments"


@dataclass
class Api:
    """What the cluster has, and what it was asked.

    Attributes:
        objects: path -> status and body.
        requests: method, path and query of each.
        environment: that names the cluster.

    """

    objects: dict[str, tuple[int, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def server(self, *, replicas: int, ready: int | None) -> None:
        """Let the cluster have a Prefect server."""
        body = {"metadata": {"name": "prefect-server"}, "spec": {"replicas": replicas}, "status": {}}
        if ready is not None:
            body["status"] = {"readyReplicas": ready}
        self.objects[f"{NAMESPACED}/prefect-server"] = (200, body)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            url = urlparse(self.path.replace("/version/", "/version"))
            version = (200, {"major": "1", "minor": "35", "gitVersion": "v1.35.4"})
            missing = (404, {"kind": "Status", "code": 404, "message": "not found"})
            status, body = version if url.path == "/version" else api.objects.get(url.path, missing)
            if url.path != "/version":
                api.requests.append((self.command, url.path, url.query))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_DELETE = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api.environment = kubeconfig(tmp_path, server.server_address[1])
    yield api
    server.shutdown()
    server.server_close()


def kubeconfig(folder: Path, port: int) -> dict[str, str]:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(yaml.safe_dump(content))
    return {"KUBECONFIG": str(file)}


def selection(environment: dict[str, str]) -> Selection:
    class Named:
        name = "prod"

    parsed = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="prod")
    place = Target(cluster="local", environment=environment, overrides={})
    return Selection(stack=Named(), target=place, settings=parsed)  # type: ignore[arg-type]


def test_an_object_that_does_not_exist_is_none_and_its_kind_has_no_objects(api: Api) -> None:
    cluster = Kubernetes(api.environment)
    assert cluster.get("services/x", namespace="flows") is None
    assert cluster.list("daskclusters", version="kubernetes.dask.org/v1") == []
    assert api.requests[1] == ("GET", "/apis/kubernetes.dask.org/v1/daskclusters", "")


def test_a_list_asks_for_the_labels(api: Api) -> None:
    api.objects["/api/v1/namespaces/flows/pods"] = (200, {"items": [{"metadata": {"name": "a"}}]})
    pods = Kubernetes(api.environment).list("pods", namespace="flows", selector="a=b")
    assert [pod["metadata"]["name"] for pod in pods] == ["a"]
    assert api.requests[0][2] == "labelSelector=a%3Db"


def test_a_refusal_names_what_was_asked_and_the_servers_reason(api: Api) -> None:
    status = {"kind": "Status", "code": 403, "message": "pods is forbidden"}
    api.objects["/api/v1/namespaces/flows/pods"] = (403, status)
    with pytest.raises(Problem, match="Kubernetes refuses GET pods") as caught:
        Kubernetes(api.environment).list("pods", namespace="flows")
    assert "forbidden" in str(caught.value)


def test_a_cluster_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="The Kubernetes API does not answer"):
        Kubernetes(kubeconfig(tmp_path, 1)).get("services/x", namespace="flows")


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert is_ready({"metadata": {}, "status": ready})
    assert not is_ready({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready})


def test_a_stack_that_was_never_up_is_refused_at_once_with_the_command_that_brings_it_up(api: Api) -> None:
    with pytest.raises(Problem, match=r"Stack prod is not up\. Run make up STACK=prod\."):
        require_up(selection(api.environment))


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_server_without_a_ready_pod_is_refused_with_the_ways_to_look_and_to_repair(api: Api, replicas: int) -> None:
    api.server(replicas=replicas, ready=None)
    with pytest.raises(Problem, match="is not running") as caught:
        require_up(selection(api.environment))
    assert "make doctor STACK=prod" in str(caught.value)


def test_a_stack_with_a_ready_server_is_up(api: Api) -> None:
    api.server(replicas=1, ready=1)
    require_up(selection(api.environment))
