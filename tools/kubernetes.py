"""Reading objects of a cluster, and deleting them, for the verbs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from tools.errors import Problem

_DEADLINE: Final = 20.0
"""Seconds for kubeconfig, login helpers and one answer."""

Object = Mapping[str, Any]


class Kubernetes:
    """The cluster of a target.

    Args:
        environment: of the target; KUBECONFIG in it says which cluster.

    Every method raises `Problem` when Kubernetes does not answer or refuses.

    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._kubeconfig = environment.get("KUBECONFIG") or os.environ.get("KUBECONFIG")

    def get(self, url: str, *, version: str = "v1", namespace: str | None = None) -> Object | None:
        """Return one object, or None when it or its kind does not exist.

        Args:
            url: `<plural>/<name>`, such as `services/prefect-server`.
            version: API group and version, such as `apps/v1`.
            namespace: where it is; None for an object of the whole cluster.

        """
        item: Object | None = self._call("GET", url, version=version, namespace=namespace)
        return item

    def list(
        self, plural: str, *, version: str = "v1", namespace: str | None = None, selector: str | None = None
    ) -> list[Object]:
        """Return the objects of one kind; none when the kind does not exist.

        Args:
            plural: of the kind, such as `pods`.
            version: API group and version.
            namespace: where they are; None for the whole cluster.
            selector: of labels, such as `a=b,c=d`.

        """
        params = {"labelSelector": selector} if selector else {}
        answer = self._call("GET", plural, version=version, namespace=namespace, params=params)
        return [] if answer is None else list(answer["items"])

    def create(self, plural: str, item: Object, *, version: str = "v1", namespace: str | None = None) -> Object:
        """Create an object and return what Kubernetes answers; an empty object when the kind does not exist."""
        return self._call("POST", plural, version=version, namespace=namespace, json=item) or {}

    def delete(self, url: str, *, version: str = "v1", namespace: str | None = None, grace: int | None = None) -> None:
        """Delete one object; one that does not exist is left at that.

        Args:
            url: `<plural>/<name>`.
            version: API group and version.
            namespace: where it is; None for an object of the whole cluster.
            grace: seconds that a pod may take to end, if not its own: 0 removes it at once.

        """
        options = {} if grace is None else {"json": {"gracePeriodSeconds": grace}}
        self._call("DELETE", url, version=version, namespace=namespace, **options)

    def _call(self, method: str, url: str, **more: Any) -> Any:
        import kr8s  # noqa: PLC0415  half a second, and most verbs ask for nothing
        import kr8s.asyncio  # noqa: PLC0415  likewise

        async def ask() -> Any:
            api = await kr8s.asyncio.api(kubeconfig=self._kubeconfig)
            async with api.call_api(method, url=url, **more) as answer:
                return answer.json()

        try:
            return asyncio.run(asyncio.wait_for(ask(), _DEADLINE))
        except kr8s.ServerError as error:
            if error.response is not None and error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise Problem(
                f"Kubernetes refuses {method} {url}",
                remedy="Use a kubeconfig whose user is allowed to",
                detail=str(error),
            ) from None
        except (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError, ValueError) as error:
            raise Problem(
                f"The Kubernetes API does not answer ({error or type(error).__name__})",
                remedy="See that the cluster is running and that KUBECONFIG names it; `make doctor` says more",
            ) from None


def node_statistics(cluster: Kubernetes) -> Iterator[Object]:
    """Yield the kubelet's `stats/summary` of each node, which needs the permission to read `nodes/proxy`.

    Raises:
        Problem: Kubernetes does not answer or refuses.

    """
    for node in cluster.list("nodes"):
        yield cluster.get(f"nodes/{node['metadata']['name']}/proxy/stats/summary") or {}


def is_ready(pod: Object) -> bool:
    """Tell whether a pod takes requests and is not being deleted."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
