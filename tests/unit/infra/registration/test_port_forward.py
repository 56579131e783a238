"""The port-forward, against a Kubernetes API made of four routes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from infra.registration.endpoint import PortForward
from infra.registration.errors import GoneError, RegistrationError, UnreachableError
from infra.registration.port_forward import Tunnel

SERVICE = {"spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": "api"}]}}


def _pod(name: str, *, ready: bool = True, going: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})},
        "spec": {
            "containers": [{"ports": [{"name": "other", "containerPort": 1}, {"name": "api", "containerPort": 4200}]}]
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@dataclass
class Kubernetes:
    """What the cluster has, and what it was asked to forward."""

    pods: list[dict[str, Any]] = field(default_factory=lambda: [_pod("one")])
    service: Any = field(default_factory=lambda: SERVICE)
    refusal: int | None = None
    error: str = ""
    forwards: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    async def version(self, _: Request) -> JSONResponse:
        return JSONResponse({"major": "1", "minor": "35", "gitVersion": "v1.35.4"})

    async def services(self, _: Request) -> JSONResponse:
        if self.refusal:
            return JSONResponse({"message": "services is forbidden", "code": self.refusal}, self.refusal)
        return JSONResponse(self.service)

    async def list_pods(self, request: Request) -> JSONResponse:
        assert request.query_params["labelSelector"] == "app=server"
        return JSONResponse({"items": self.pods})

    async def portforward(self, socket: WebSocket) -> None:
        """Serve the port-forward protocol and the HTTP server behind it."""
        pod = socket.path_params["pod"]
        self.forwards.append((pod, socket.query_params["ports"]))
        await socket.accept()
        for channel in (b"\x00", b"\x01"):
            await socket.send_bytes(channel + (4200).to_bytes(2, "little"))
        if self.error:
            await socket.send_bytes(b"\x01" + self.error.encode())
            return
        request = b""
        while b"\r\n\r\n" not in request:
            message = await socket.receive_bytes()
            assert message[:1] == b"\x00"
            request += message[1:]
        body = json.dumps(pod).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        # In pieces, as a network delivers.
        for piece in (head[:10], head[10:], body):
            await socket.send_bytes(b"\x00" + piece)
        await socket.close()


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    cluster = Kubernetes()
    base = "/api/v1/namespaces/flows"
    app = Starlette(
        routes=[
            Route("/version", cluster.version),
            Route(f"{base}/services/server", cluster.services),
            Route(f"{base}/pods", cluster.list_pods),
            WebSocketRoute(f"{base}/pods/{{pod}}/portforward", cluster.portforward),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end, "the server in this process did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    cluster.url = f"http://127.0.0.1:{port}"
    _kubeconfig(tmp_path, cluster.url, monkeypatch)
    yield cluster
    server.should_exit = True
    thread.join(timeout=20)


def _kubeconfig(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "here", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))


def _tunnel(**fields: Any) -> Tunnel:
    return Tunnel(PortForward(**{"namespace": "flows", "service": "server", "port": 80, **fields}))


def _get(tunnel: Tunnel) -> Any:
    return httpx.get(f"http://127.0.0.1:{tunnel.port}/api", trust_env=False, timeout=20).json()


def test_a_request_reaches_the_pods_target_port(kubernetes: Kubernetes) -> None:
    assert _get(_tunnel()) == "one"
    assert kubernetes.forwards == [("one", "4200")]


def test_only_a_ready_pod_that_is_not_being_deleted_is_used(kubernetes: Kubernetes) -> None:
    kubernetes.pods = [_pod("starting", ready=False), _pod("going", going=True), _pod("good")]
    assert _get(_tunnel()) == "good"


def test_the_port_forward_survives_a_replaced_pod(kubernetes: Kubernetes) -> None:
    tunnel = _tunnel()
    assert _get(tunnel) == "one"
    kubernetes.pods = []
    with pytest.raises(httpx.TransportError):
        _get(tunnel)
    assert tunnel.last_error == "no pod of service 'server' in namespace 'flows' is ready"
    kubernetes.pods = [_pod("two")]
    assert _get(tunnel) == "two"
    assert tunnel.last_error == ""


def test_the_error_of_kubernetes_is_kept(kubernetes: Kubernetes) -> None:
    tunnel = _tunnel()
    kubernetes.error = "connection refused inside the pod"
    with pytest.raises(httpx.TransportError):
        _get(tunnel)
    assert tunnel.last_error == "connection refused inside the pod"


def test_a_missing_service_is_reported_as_deleted(kubernetes: Kubernetes) -> None:
    with pytest.raises(GoneError, match=r"service 'missing' in namespace 'flows'.*does not exist"):
        _tunnel(service="missing")
    assert kubernetes.forwards == []


def test_a_service_without_a_selector_is_refused(kubernetes: Kubernetes) -> None:
    kubernetes.service = {"spec": {"ports": []}}
    with pytest.raises(RegistrationError, match="selects no pods"):
        _tunnel()


def test_missing_permissions_are_named(kubernetes: Kubernetes) -> None:
    kubernetes.refusal = 403
    with pytest.raises(RegistrationError, match="services is forbidden; use a kubeconfig that may get services"):
        _tunnel()


def test_a_stopped_cluster_is_unreachable_and_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _kubeconfig(tmp_path, "http://127.0.0.1:1", monkeypatch)
    with pytest.raises(UnreachableError, match="check that the cluster runs") as caught:
        _tunnel()
    assert not isinstance(caught.value, GoneError)


def test_the_error_without_a_kubeconfig_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(RegistrationError, match="KUBECONFIG"):
        _tunnel()
