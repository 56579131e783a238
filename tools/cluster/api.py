"""The few calls to the Kubernetes API that bringing up a cluster takes, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.cluster.layout import API_PORT, Port
from tools.errors import Problem

TIMEOUT = 10.0
"""Seconds that one call may take."""


class Api:
    """The API server on this machine, as its administrator."""

    def __init__(self, pki: Path, port: Port = API_PORT) -> None:
        self._port = port.number
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = TIMEOUT
    ) -> tuple[int, str]:
        """One call; status and body of the answer.

        Raises:
            OSError: when there is no answer.

        """
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=timeout)
        # A server-side apply: the object comes to be or becomes as it is written here.
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error}") from error
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.call("GET", "/readyz", timeout=2)[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """One object, or None while there is none to be had."""
        try:
            status, body = self.call("GET", path)
        except OSError:
            return None
        answer: dict[str, Any] | None = json.loads(body) if status == 200 else None
        return answer

    def apply(self, path: str, manifest: Mapping[str, Any]) -> None:
        """Make an object be as written, at its path.

        Raises:
            Problem: when the API server refuses it.

        """
        status, body = self.call("PATCH", f"{path}?fieldManager=local-cluster&force=true", manifest)
        if status not in (200, 201):
            raise Problem(
                f"The API server refuses {manifest['kind']} {manifest['metadata']['name']} (HTTP {status})",
                remedy="`python -m tools.cluster purge` makes the next start an empty one",
                detail=body,
            )


def node_ready(node: Mapping[str, Any] | None, *, since: str) -> bool:
    """Whether a node says Ready, and said so after `since` (RFC 3339, UTC): an older word is that of an earlier run."""
    if not node:
        return False
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" and condition["lastHeartbeatTime"] >= since
        for condition in node.get("status", {}).get("conditions", ())
    )
