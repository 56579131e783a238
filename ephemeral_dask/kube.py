"""The few requests to the Kubernetes API that a run makes about its own Dask cluster.

By name means the verb `get` here. kr8s's own get-by-name is a list, which would need a wider right.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract.dask import API_VERSION, CLUSTERS, WORKER_GROUPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class Kind:
    """A namespaced kind of object, as the API's addresses spell it."""

    version: str
    plural: str


DASK_CLUSTERS: Final = Kind(API_VERSION, CLUSTERS)
DASK_WORKER_GROUPS: Final = Kind(API_VERSION, WORKER_GROUPS)
PODS: Final = Kind("v1", "pods")
SERVICES: Final = Kind("v1", "services")
EVENTS: Final = Kind("v1", "events")
SECRETS: Final = Kind("v1", "secrets")


_POLL: Final = 0.25
"""Seconds between two looks at an object that is going away."""

_WATCHED_FOR: Final = 60
"""Seconds after which the API ends a watch. A connection that was lost without a sign is noticed only then."""

_ANSWER_TIMEOUT: Final = 5.0
"""Seconds that a connection may take, and the end of a watch may be late."""


class KubeError(Exception):
    """A request that the Kubernetes API refused or did not answer.

    Attributes:
        status: the HTTP status, or None when there was no answer.
        message: what the API said.

    """

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed in a moment."""
        return self.status is None or self.status == httpx.codes.TOO_MANY_REQUESTS or self.status >= 500


class Kube:
    """Requests about one namespace. Belongs to the event loop that first uses it."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._api: Any = None

    async def create(self, kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object and return it as the API stored it."""
        return json_object(await self._request("POST", kind, kind.plural, content=json.dumps(manifest)))

    async def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """Return an object by name, or None when there is none."""
        try:
            return json_object(await self._request("GET", kind, f"{kind.plural}/{name}"))
        except KubeError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """Return the objects that the label and field selectors choose."""
        answer = await self._request("GET", kind, kind.plural, params=_selectors(labels, fields))
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def watch(
        self, kind: Kind, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[dict[str, dict[str, Any]]]:
        """Yield the objects that the selectors choose, by name: none at first, then those after each change.

        It ends after a minute, or earlier if the API ends it.

        Raises:
            KubeError: the API refused the request, or the connection was lost.

        """
        params = {"watch": "true", "timeoutSeconds": str(_WATCHED_FOR), **_selectors(labels, fields)}
        objects: dict[str, dict[str, Any]] = {}
        timeout = httpx.Timeout(_ANSWER_TIMEOUT, read=_WATCHED_FOR + _ANSWER_TIMEOUT)
        async with self._answer("GET", kind, kind.plural, params=params, stream=True, timeout=timeout) as answer:
            yield {}
            async for line in answer.aiter_lines():
                change, subject = _change(line)
                if change == "DELETED":
                    objects.pop(subject["metadata"]["name"], None)
                else:
                    objects[subject["metadata"]["name"]] = subject
                yield dict(objects)

    async def patch(self, kind: Kind, name: str, change: dict[str, Any]) -> None:
        """Change what a JSON merge patch says of an object, and nothing else."""
        headers = {"Content-Type": "application/merge-patch+json"}
        await self._request("PATCH", kind, f"{kind.plural}/{name}", content=json.dumps(change), headers=headers)

    async def delete(self, kind: Kind, name: str) -> bool:
        """Ask for an object's end; False when there is none."""
        try:
            await self._request("DELETE", kind, f"{kind.plural}/{name}")
        except KubeError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    async def remove(self, kind: Kind, name: str, *, within: float) -> str:
        """Delete an object and wait until it is gone. Return why it is still there after `within` seconds, or ""."""
        deadline = time.monotonic() + within
        asked, why = False, ""
        while True:
            try:
                there = await self.delete(kind, name) if not asked else await self.get(kind, name) is not None
                if not there:
                    return ""
                asked, why = True, "a finalizer holds it back; the Dask operator may not be running"
            except KubeError as error:
                why = error.message
                if not error.transient:
                    return why
            if time.monotonic() >= deadline:
                return why
            await asyncio.sleep(_POLL)

    async def log(self, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """Return the last lines that a container wrote; `previous` is the one before its last restart."""
        params = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        return (await self._request("GET", PODS, f"pods/{pod}/log", params=params)).text

    async def _request(self, method: str, kind: Kind, path: str, **kwargs: Any) -> httpx.Response:
        async with self._answer(method, kind, path, **kwargs) as answer:
            return answer

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, kind: Kind, path: str, **kwargs: Any) -> AsyncIterator[httpx.Response]:
        try:
            if self._api is None:  # kept: kr8s forgets it otherwise, and asks for the server's version each time
                self._api = await kr8s.asyncio.api()
            async with self._api.call_api(
                method, version=kind.version, url=path, namespace=self._namespace, **kwargs
            ) as response:
                yield response
        except kr8s.ServerError as error:
            status = error.response.status_code if error.response is not None else None
            raise KubeError(status, _message(error)) from error
        except (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.TransportError) as error:
            raise KubeError(None, str(error) or type(error).__name__) from error


def _message(error: kr8s.ServerError) -> str:
    """Return what the API said; kr8s keeps that of a refusal (4xx), and not that of a failure (5xx)."""
    if error.response is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError, httpx.StreamError):
            return str(error.response.json()["message"])
    return str(error)


def _change(line: str) -> tuple[str, dict[str, Any]]:
    """Return from a line of a watch whether an object was ADDED, MODIFIED or DELETED, and the object.

    Raises:
        KubeError: the API ends the watch because of an error, or the line is not complete.

    """
    try:
        change = json.loads(line)
    except ValueError as error:
        raise KubeError(None, "the connection ended in the middle of a line") from error
    if change["type"] == "ERROR":
        raise KubeError(None, str(change["object"].get("message")))
    return change["type"], change["object"]


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}


def of_name(name: str) -> str:
    """Return the field selector of the object with a name."""
    return f"metadata.name={name}"


def of_cluster(name: str) -> str:
    """Return the label selector of a Dask cluster's pods."""
    return f"dask.org/cluster-name={name}"


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the response's body, which the API promises to be one object."""
    body: dict[str, Any] = response.json()
    return body
