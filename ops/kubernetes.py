"""The reaper's requests to the Kubernetes API, with its pod's ServiceAccount."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx

from ephemeral_dask.contract import dask

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT: Final = 10.0
_DASK: Final = f"/apis/{dask.API_VERSION}"


@dataclass(frozen=True, kw_only=True)
class ObjectList:
    """The objects of a list request, and the API server's time of the response: a node's clock may be minutes off."""

    items: list[dict[str, Any]]
    now: datetime


class Kubernetes:
    """Requests in one namespace.

    Every method raises httpx.HTTPStatusError if the API refuses and httpx.TransportError if it does not answer.
    """

    def __init__(self, namespace: str, client: httpx.Client) -> None:
        self._namespace = namespace
        self._client = client

    @classmethod
    def in_cluster(cls, namespace: str) -> Kubernetes:
        """Use the pod's ServiceAccount. Its token is read for every request, because it changes hourly."""
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

    def list_dask(self, plural: str, label_selector: str) -> ObjectList:
        """Return Dask objects of one kind."""
        return self._list(self._dask(plural), label_selector)

    def list_pods(self, label_selector: str) -> ObjectList:
        """Return the pods with a label."""
        return self._list(f"/api/v1/namespaces/{self._namespace}/pods", label_selector)

    def job(self, name: str) -> dict[str, Any] | None:
        """Return a Job, or None if it does not exist."""
        response = self._client.get(f"/apis/batch/v1/namespaces/{self._namespace}/jobs/{name}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        job: dict[str, Any] = response.raise_for_status().json()
        return job

    def delete_cluster(self, name: str, uid: str) -> None:
        """Delete a DaskCluster; do nothing if it does not exist or another one has its name."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        response = self._client.request("DELETE", f"{self._dask(dask.CLUSTERS)}/{name}", json=options)
        if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
            response.raise_for_status()

    def drop_finalizers(self, plural: str, name: str) -> None:
        """Remove the finalizers of a Dask object that was deleted."""
        response = self._client.patch(
            f"{self._dask(plural)}/{name}",
            json={"metadata": {"finalizers": None}},
            headers={"content-type": "application/merge-patch+json"},
        )
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()

    def _dask(self, plural: str) -> str:
        return f"{_DASK}/namespaces/{self._namespace}/{plural}"

    def _list(self, path: str, label_selector: str) -> ObjectList:
        response = self._client.get(path, params={"labelSelector": label_selector}).raise_for_status()
        now = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        return ObjectList(items=response.json()["items"], now=now)
