"""The reaper's requests to the Kubernetes API, with its pod's ServiceAccount."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx

from ephemeral_dask.contract import dask, labels

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT: Final = 10.0
_DASK: Final = f"/apis/{dask.API_VERSION}"

PAGE: Final = 50
"""Objects of one response. An object can have 256 KiB of annotations, and a page is in memory as a whole."""

_LOG_LINES: Final = 10
_LOG_BYTES: Final = 1500
_EVENTS: Final = 100

FLOW_PODS: Final = f"{labels.COMPONENT}={labels.FLOW_RUN_POD}"
DASK_PODS: Final = f"{labels.COMPONENT}={labels.DASK_POD}"
SCHEDULERS: Final = f"{DASK_PODS},dask.org/component=scheduler"


class ChangedError(RuntimeError):
    """A list took so long that its next page is no longer available."""


@dataclass
class Listing:
    """The objects of a list request, read page by page, and the API server's time: a node's clock may be minutes off.

    Attributes:
        now: time of the first response; known when the first object is.

    """

    client: httpx.Client
    path: str
    selector: str
    now: datetime = field(default=datetime.min.replace(tzinfo=UTC))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the objects. Only one page is in memory."""
        token, first = "", True
        while first or token:
            params = {"labelSelector": self.selector, "limit": str(PAGE), **({"continue": token} if token else {})}
            response = self.client.get(self.path, params=params)
            if response.status_code == httpx.codes.GONE:
                raise ChangedError(f"{self.path}: the list has expired")
            body = response.raise_for_status().json()
            if first:
                self.now = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
            first, token = False, body.get("metadata", {}).get("continue") or ""
            yield from body["items"]


class Kubernetes:
    """Requests in one namespace.

    Every method raises httpx.HTTPStatusError if the API refuses and httpx.TransportError if it does not answer.
    """

    def __init__(self, namespace: str, client: httpx.Client) -> None:
        self.namespace = namespace
        self._client = client
        self._core = f"/api/v1/namespaces/{namespace}"
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

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

    def list_dask(self, plural: str) -> Listing:
        """Return Dask objects of one kind."""
        return Listing(self._client, self._dask(plural), labels.COMPONENT)

    def list_pods(self, selector: str) -> Listing:
        """Return the pods with these labels."""
        return Listing(self._client, f"{self._core}/pods", selector)

    def list_jobs(self) -> Listing:
        """Return the Jobs of flow runs."""
        return Listing(self._client, self._jobs, labels.PREFECT_FLOW_RUN)

    def job(self, name: str) -> dict[str, Any] | None:
        """Return a Job, or None if it does not exist."""
        response = self._client.get(f"{self._jobs}/{name}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        job: dict[str, Any] = response.raise_for_status().json()
        return job

    def warnings(self, uid: str) -> list[dict[str, Any]]:
        """Return the warnings about an object."""
        selector = f"involvedObject.uid={uid},type=Warning"
        params = {"fieldSelector": selector, "limit": str(_EVENTS)}
        events: list[dict[str, Any]] = (
            self._client.get(f"{self._core}/events", params=params).raise_for_status().json()["items"]
        )
        return events

    def last_log_lines(self, pod: str) -> str:
        """Return the end of a flow pod's log, or an empty string where there is none any more."""
        params = {"container": labels.FLOW_CONTAINER, "tailLines": str(_LOG_LINES), "limitBytes": str(16 * _LOG_BYTES)}
        response = self._client.get(f"{self._core}/pods/{pod}/log", params=params)
        return response.text.strip()[-_LOG_BYTES:] if response.is_success else ""

    def delete_dask(self, plural: str, name: str, uid: str) -> None:
        """Delete a Dask object; do nothing if it does not exist or another one has its name."""
        self._delete(f"{self._dask(plural)}/{name}", uid)

    def delete_job(self, name: str, uid: str) -> None:
        """Delete a Job after its pods; do nothing if it does not exist or another one has its name."""
        self._delete(f"{self._jobs}/{name}", uid, propagationPolicy="Foreground")

    def drop_finalizers(self, plural: str, name: str) -> None:
        """Remove the finalizers of a Dask object that was deleted."""
        response = self._client.patch(
            f"{self._dask(plural)}/{name}",
            json={"metadata": {"finalizers": None}},
            headers={"content-type": "application/merge-patch+json"},
        )
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()

    def _delete(self, path: str, uid: str, **more: str) -> None:
        options: Mapping[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid},
            **more,
        }
        response = self._client.request("DELETE", path, json=options)
        if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
            response.raise_for_status()

    def _dask(self, plural: str) -> str:
        return f"{_DASK}/namespaces/{self.namespace}/{plural}"
