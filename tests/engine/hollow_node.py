"""A stand-in for a node and its storage, as kubemark's hollow nodes are: whatever asks for a place gets one.

Pods are said to run and let go when they are to end, claims get a volume. Everything else is Kubernetes' own doing.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tools.cluster.api import Api

NAME: Final = "hollow"
_LOOK: Final = 0.2
"""Seconds between two looks at the pods."""
_RUNNING: Final = ("Initialized", "ContainersReady", "Ready")
_POD_IP: Final = "192.0.2.1"
"""Of the addresses for documentation; an endpoint may not be on the loopback interface."""
_PASSING: Final = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_NAMESPACE_TERMINATING: Final = "NamespaceTerminating"
"""The cause in the API server's answer: a pod is not bound in a namespace that is being deleted."""
_DATA, _ERROR = 0, 1
"""Channels of Kubernetes' port-forward protocol for a single port."""


@contextlib.contextmanager
def running(api: Api, pki: Path, behind: Mapping[str, int]) -> Iterator[None]:
    """Be a node until the end of the context.

    Args:
        api: the API server.
        pki: the folder with the node's certificate, `kubelet`.
        behind: namespace -> port on the loopback interface to which every port-forward to a pod there leads.

    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "kubelet.crt", pki / "kubelet.key")

    def forward(connection: ServerConnection) -> None:
        assert connection.request
        namespace = connection.request.path.split("/")[2]
        _forward(connection, behind[namespace])

    # As a kubelet, it takes any subprotocol of the family.
    with serve(forward, "127.0.0.1", 0, ssl=context, select_subprotocol=_first) as kubelet:
        _register(api, kubelet)
        ended = threading.Event()
        threads = [
            threading.Thread(target=kubelet.serve_forever, name="hollow-kubelet"),
            threading.Thread(target=_serve, args=(api, ended), name="hollow-node"),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            kubelet.shutdown()
            for thread in threads:
                thread.join()


def _first(_connection: ServerConnection, offered: Any) -> Any:
    return next(iter(offered), None)


def _register(api: Api, kubelet: Server) -> None:
    port = kubelet.socket.getsockname()[1]
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NAME},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    _expect(api.call("POST", "/api/v1/nodes", node))


def _serve(api: Api, ended: threading.Event) -> None:
    while not ended.wait(_LOOK):
        # A busy API server that does not answer in time is asked again at the next look.
        with contextlib.suppress(OSError):
            for claim in _all(api, "persistentvolumeclaims"):
                _provide(api, claim)
            for pod in _all(api, "pods"):
                advance(api, pod)


def _all(api: Api, kind: str) -> list[dict[str, Any]]:
    listing = api.get(f"/api/v1/{kind}")
    return list(listing["items"]) if listing else []


def _provide(api: Api, claim: Mapping[str, Any]) -> None:
    """Make a volume for a claim; Kubernetes binds them."""
    if claim["status"]["phase"] != "Pending":
        return
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim["metadata"]["uid"]},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": claim["spec"]["resources"]["requests"],
            "claimRef": {key: claim["metadata"][key] for key in ("namespace", "name", "uid")},
            "hostPath": {"path": "/missing"},
        },
    }
    _expect(api.call("POST", "/api/v1/persistentvolumes", volume))


def advance(api: Api, pod: Mapping[str, Any]) -> None:
    """Take a pod one step further; a refusal that passes is left to the next look.

    Raises:
        RuntimeError: the API server refuses the step for another reason.

    """
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    if "nodeName" not in pod["spec"]:
        target = {"apiVersion": "v1", "kind": "Node", "name": NAME}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        _expect(api.call("POST", f"{path}/binding", body))
    elif "deletionTimestamp" in pod["metadata"]:
        _expect(api.call("DELETE", f"{path}?gracePeriodSeconds=0"))
    elif pod["status"]["phase"] != "Running":
        conditions = [{"type": kind, "status": "True"} for kind in _RUNNING]
        status = {"phase": "Running", "podIP": _POD_IP, "conditions": conditions}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}
        _expect(api.call("PATCH", f"{path}/status?fieldManager={NAME}&force=true", body))


def _expect(answer: tuple[int, str]) -> None:
    """Raise for a refusal, unless the object has changed or gone, its namespace is deleted or the server is busy."""
    status, body = answer
    if status < HTTPStatus.BAD_REQUEST or status in _PASSING:
        return
    if status == HTTPStatus.FORBIDDEN and _NAMESPACE_TERMINATING in body:
        return
    raise RuntimeError(f"the API server answers the hollow node {status}: {body}")


def _forward(connection: ServerConnection, port: int) -> None:
    """Carry a port-forward's bytes, as a kubelet does for a pod."""
    for channel in (_DATA, _ERROR):
        connection.send(bytes([channel]) + port.to_bytes(2, "little"))
    with socket.create_connection(("127.0.0.1", port)) as behind:

        def downward() -> None:
            with contextlib.suppress(OSError, ConnectionClosed):
                while data := behind.recv(65536):
                    connection.send(bytes([_DATA]) + data)
            connection.close()

        thread = threading.Thread(target=downward, name="hollow-forward")
        thread.start()
        # Who is done with a port-forward lets the connection fall.
        with contextlib.suppress(OSError, ConnectionClosed):
            for message in connection:
                assert isinstance(message, bytes)
                behind.sendall(message[1:])
        with contextlib.suppress(OSError):
            behind.shutdown(socket.SHUT_RDWR)
        thread.join()
