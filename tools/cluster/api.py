"""The few Kubernetes API calls that starting a cluster takes."""

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
"""Seconds for one call."""


class Api:
    """The API server on this machine, as its administrator."""

    def __init__(self, pki: Path, port: Port = API_PORT) -> None:
        self._port = port.number
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = TIMEOUT
    ) -> tuple[int, str]:
        """Make one call and return the status and the body of the answer.

        Raises:
            OSError: the API server does not answer.

        """
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=timeout)
        # A server-side apply, which creates the object or updates it.
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
        """Return whether the API server reports that it is ready."""
        try:
            return self.call("GET", "/readyz", timeout=2)[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object; None when it does not exist or the API server does not answer."""
        try:
            status, body = self.call("GET", path)
        except OSError:
            return None
        answer: dict[str, Any] | None = json.loads(body) if status == 200 else None
        return answer

    def apply(self, path: str, manifest: Mapping[str, Any]) -> None:
        """Create or update the object at `path`.

        Raises:
            Problem: the API server refuses it.
            OSError: the API server does not answer.

        """
        status, body = self.call("PATCH", f"{path}?fieldManager=local-cluster&force=true", manifest)
        if status not in (200, 201):
            raise Problem(
                f"The API server refuses {manifest['kind']} {manifest['metadata']['name']} (HTTP {status})",
                remedy="Read its answer below. After `python -m tools.cluster purge` the cluster starts empty",
                detail=body,
            )
