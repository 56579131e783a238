"""Putting our own images into the local registry, over its HTTP API (the OCI distribution specification)."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from tools.cluster.images import MANIFEST_TYPE, Built
from tools.cluster.layout import REGISTRY, REGISTRY_PORT
from tools.errors import Problem

TIMEOUT = 120.0
"""Seconds for one call; the largest body is the base image's layer."""


def _call(method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection(REGISTRY_PORT.address, REGISTRY_PORT.number, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {"Accept": MANIFEST_TYPE})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location", "")
    finally:
        connection.close()


def reachable() -> bool:
    """Whether the registry answers."""
    try:
        return _call("GET", "/v2/")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def reference(image: Built) -> str:
    """How to name an image so that it can be nothing else."""
    return f"{REGISTRY}/{image.name}@{image.digest}"


def push(image: Built) -> str:
    """Put an image into the registry, tagged `latest`, unless it is there.

    Returns:
        Its reference by digest.

    Raises:
        Problem: when the registry refuses it.

    """
    base = f"/v2/{image.name}"
    if _call("HEAD", f"{base}/manifests/{image.digest}")[0] != 200:
        for digest, file in image.blobs():
            if _call("HEAD", f"{base}/blobs/{digest}")[0] != 200:
                _upload(base, digest, file)
        _expect(201, _call("PUT", f"{base}/manifests/latest", image.manifest, MANIFEST_TYPE)[0], image.name)
    return reference(image)


def _upload(base: str, digest: str, file: Path) -> None:
    status, location = _call("POST", f"{base}/blobs/uploads/")
    _expect(202, status, base)
    target = urlsplit(location)
    # The registry tells where to, with a query of its own that must come along.
    path = f"{target.path}?{target.query + '&' if target.query else ''}digest={digest}"
    _expect(201, _call("PUT", path, file.read_bytes(), "application/octet-stream")[0], base)


def _expect(wanted: int, status: int, what: str) -> None:
    if status != wanted:
        raise Problem(
            f"The local registry answers HTTP {status} instead of {wanted} while {what} is being stored",
            remedy="See the log of the component `registry`; `python -m tools.cluster purge` starts from an empty one",
        )
