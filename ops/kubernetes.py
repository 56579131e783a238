"""The few requests to the Kubernetes API that the reaper makes, with its pod's own identity."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx

from ephemeral_dask.contract.dask import API_VERSION

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT: Final = 10.0
_DASK: Final = f"/apis/{API_VERSION}"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list answered, and the API server's clock when it did: a node's own may be minutes off."""

    items: list[dict[str, Any]]
    now: datetime


class Kubernetes:
    """Requests about one namespace.

    Every method raises httpx.HTTPStatusError for a refusal and httpx.TransportError without an answer.
    """

    def __init__(self, namespace: str, client: httpx.Client) -> None:
        self._namespace = namespace
        self._client = client

    @classmethod
    def in_cluster(cls, namespace: str) -> Kubernetes:
        """Speak as the pod's ServiceAccount, whose token is read anew for every request: it changes hourly."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]

        def sign(request: httpx.Request) -> httpx.Request:
            request.headers["authorization"] = f"Bearer {(_ACCOUNT / 'token').read_text().strip()}"
            return request

        client = httpx.Client(
            base_url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            verify=ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt")),
            auth=sign,
            timeout=_TIMEOUT,
        )
        return cls(namespace, client)

    def list_dask(self, plural: str, label_selector: str) -> Listed:
        """Return the objects of one kind of Dask."""
        return self._list(self._dask(plural), label_selector)

    def list_pods(self, label_selector: str) -> Listed:
        """Return pods."""
        return self._list(f"/api/v1/namespaces/{self._namespace}/pods", label_selector)

    def job(self, name: str) -> dict[str, Any] | None:
        """Return a Job, or None when there is none."""
        response = self._client.get(f"/apis/batch/v1/namespaces/{self._namespace}/jobs/{name}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        found: dict[str, Any] = response.raise_for_status().json()
        return found

    def delete_cluster(self, name: str, uid: str) -> None:
        """Delete a DaskCluster, unless it is gone or another one has its name."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        response = self._client.request("DELETE", f"{self._dask('daskclusters')}/{name}", json=options)
        if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
            response.raise_for_status()

    def drop_finalizers(self, plural: str, name: str) -> None:
        """Let an object of Dask go that was deleted."""
        response = self._client.patch(
            f"{self._dask(plural)}/{name}",
            json={"metadata": {"finalizers": None}},
            headers={"content-type": "application/merge-patch+json"},
        )
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()

    def _dask(self, plural: str) -> str:
        return f"{_DASK}/namespaces/{self._namespace}/{plural}"

    def _list(self, path: str, label_selector: str) -> Listed:
        response = self._client.get(path, params={"labelSelector": label_selector}).raise_for_status()
        now = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        return Listed(items=response.json()["items"], now=now)
