"""The Kubernetes API calls that no typed resource covers: live runs, exact access, and the state of a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract import dask
from infra.registration import cluster_access
from infra.registration.cluster_state import DASK_CRDS, OPERATOR_IMAGE, ClusterState, Operator, node_platforms
from infra.registration.errors import RegistrationError, UnreachableError, log

_DASK_OBJECTS: Final = (dask.CLUSTERS, dask.AUTOSCALERS, dask.WORKER_GROUPS)

FLOW_RUN: Final = "prefect.io/flow-run-id"
"""Label that Prefect's worker puts on its Jobs."""

_ACCESS: Final = {
    "Role": ("rbac.authorization.k8s.io/v1", "roles", "rules"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", "subjects"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", "spec"),
}
"""Kind -> API version, plural name, and the field that says what it allows."""

_TIMEOUT: Final = 30.0
"""Seconds for the kubeconfig, its login helpers and the requests together."""

_SOME_NODES: Final = 200
"""Nodes that are asked for their platform. A cluster has few, and large lists take long."""

_FOREGROUND: Final = {"propagationPolicy": "Foreground"}


@dataclass(frozen=True, kw_only=True)
class LiveObjects:
    """The live runs of a namespace.

    Attributes:
        jobs: names of the flow runs' Jobs that have not ended.
        dask: Dask's custom resources as `<plural>/<name>`.

    """

    jobs: tuple[str, ...]
    dask: tuple[str, ...]


class Cluster:
    """One namespace, with the kubeconfig of the person or job that runs Pulumi.

    Args:
        namespace: the namespace.
        context: kubeconfig context; the current one if None.

    Every method raises `UnreachableError` if Kubernetes does not answer and `RegistrationError` if it refuses.

    """

    def __init__(self, namespace: str, context: str | None) -> None:
        self._namespace = namespace
        self._context = context

    def live_objects(self) -> LiveObjects:
        """Return the live runs; a kind that Kubernetes does not serve has no objects."""

        async def work(api: Any) -> LiveObjects:
            jobs = await self._list(api, "batch/v1", "jobs", labelSelector=FLOW_RUN)
            objects = [
                f"{plural}/{item['metadata']['name']}"
                for plural in _DASK_OBJECTS
                for item in await self._list(api, dask.API_VERSION, plural)
            ]
            live = [job["metadata"]["name"] for job in jobs if not _has_ended(job)]
            return LiveObjects(jobs=tuple(live), dask=tuple(objects))

        live_objects: LiveObjects = self._run("list live runs", work)
        return live_objects

    def delete_runs(self) -> None:
        """Request the deletion of every flow run's Job and every Dask cluster."""

        async def work(api: Any) -> None:
            for job in await self._list(api, "batch/v1", "jobs", labelSelector=FLOW_RUN):
                await self._delete(api, "batch/v1", f"jobs/{job['metadata']['name']}")
            for plural in (dask.CLUSTERS, dask.AUTOSCALERS):
                for item in await self._list(api, dask.API_VERSION, plural):
                    await self._delete(api, dask.API_VERSION, f"{plural}/{item['metadata']['name']}")

        self._run("delete live runs", work)

    def force_delete(self, objects: tuple[str, ...]) -> None:
        """Remove the finalizers of objects and delete them.

        Args:
            objects: `<plural>/<name>`, as in `LiveObjects.dask`.

        """

        async def work(api: Any) -> None:
            patch, headers = '{"metadata":{"finalizers":null}}', {"Content-Type": "application/merge-patch+json"}
            for name in objects:
                await self._call(api, "PATCH", dask.API_VERSION, name, content=patch, headers=headers)
                await self._delete(api, dask.API_VERSION, name)

        self._run("force the deletion of Dask objects", work)

    def access(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what objects allow, without objects that do not exist.

        Args:
            names: `Role/<name>`, `RoleBinding/<name>` and `NetworkPolicy/<name>`.

        """

        async def work(api: Any) -> dict[str, Any]:
            access = {}
            for name in names:
                version, url, field = _access(name)
                if (live := await self._call(api, "GET", version, url)) is not None:
                    access[name] = live.get(field) or []
            return access

        access: dict[str, Any] = self._run("read Roles, RoleBindings and NetworkPolicies", work)
        return access

    def set_access(self, access: Mapping[str, Any]) -> None:
        """Replace what objects allow.

        Args:
            access: name, as in `access`, -> all of its rules, subjects or spec.

        """

        async def work(api: Any) -> None:
            for name, content in access.items():
                version, url, field = _access(name)
                # A merge patch would keep what somebody has added to a spec.
                patch = [{"op": "add", "path": f"/{field}", "value": content}]
                headers = {"Content-Type": "application/json-patch+json"}
                await self._call(api, "PATCH", version, url, content=json.dumps(patch), headers=headers)

        if access:
            self._run("restore Roles, RoleBindings and NetworkPolicies", work)

    def _run(self, operation: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return run(f"Could not {operation} in namespace '{self._namespace}'", self._context, work)

    async def _list(self, api: Any, version: str, plural: str, **params: str) -> list[Mapping[str, Any]]:
        answer = await self._call(api, "GET", version, plural, params=params)
        return [] if answer is None else list(answer["items"])

    async def _delete(self, api: Any, version: str, name: str) -> None:
        await self._call(api, "DELETE", version, name, params=_FOREGROUND)

    async def _call(self, api: Any, method: str, version: str, url: str, **options: Any) -> Any:
        return await call(api, method, version=version, namespace=self._namespace, url=url, **options)


def _access(name: str) -> tuple[str, str, str]:
    kind, _, object_name = name.partition("/")
    version, plural, field = _ACCESS[kind]
    return version, f"{plural}/{object_name}", field


def read_secret(namespace: str, name: str, context: str | None) -> Mapping[str, Any] | None:
    """Return a Secret, or None if it does not exist.

    Raises:
        UnreachableError: Kubernetes does not answer.
        RegistrationError: it refuses.

    """

    async def work(api: Any) -> Any:
        return await call(api, "GET", version="v1", namespace=namespace, url=f"secrets/{name}")

    secret: Mapping[str, Any] | None = run(f"Could not read Secret '{name}' of namespace '{namespace}'", context, work)
    return secret


def cluster_state(namespaces: tuple[str, str], context: str | None) -> ClusterState:
    """Return what the preflight compares.

    Args:
        namespaces: the platform's, and that of runs.
        context: kubeconfig context; the current one if None.

    If listing Deployments of all namespaces is forbidden, operators in other namespaces are not seen, and a warning
    says so. If listing nodes is forbidden, their platforms are unknown.

    Raises:
        UnreachableError: Kubernetes does not answer.
        RegistrationError: it refuses to show the namespaces or the CRDs.

    """

    async def work(api: Any) -> ClusterState:
        live = {name: await call(api, "GET", version="v1", url=f"namespaces/{name}") for name in namespaces}
        crds = {}
        for name in DASK_CRDS:
            url = f"customresourcedefinitions/{name}"
            crd = await call(api, "GET", version="apiextensions.k8s.io/v1", url=url)
            if crd is not None:
                crds[name] = crd["metadata"].get("annotations", {})
        return ClusterState(
            namespaces={name: one["metadata"].get("annotations", {}) for name, one in live.items() if one is not None},
            platform_jobs=await _live_jobs(api, namespaces[0]),
            crds=crds,
            operators=await _operators(api) if crds else (),
            platforms=await _platforms(api),
        )

    platform, runs = namespaces
    state: ClusterState = run(f"Could not read namespaces '{platform}' and '{runs}' and Dask's CRDs", context, work)
    return state


async def _live_jobs(api: Any, namespace: str) -> tuple[str, ...]:
    params = {"labelSelector": FLOW_RUN}
    jobs = await _listed(api, version="batch/v1", url="jobs", namespace=namespace, params=params)
    return tuple(job["metadata"]["name"] for job in jobs if not _has_ended(job))


async def _platforms(api: Any) -> tuple[str, ...]:
    return node_platforms(await _listed(api, version="v1", url="nodes", params={"limit": _SOME_NODES}))


async def _operators(api: Any) -> tuple[Operator, ...]:
    note = "Dask operators in other namespaces could not be listed"
    deployments = await _listed(api, note, version="apps/v1", url="deployments")
    return tuple(
        Operator(namespace=item["metadata"]["namespace"], name=item["metadata"]["name"], command=command)
        for item in deployments
        for container in item["spec"]["template"]["spec"]["containers"]
        for command in [(*container.get("command", ()), *container.get("args", ()))]
        if OPERATOR_IMAGE in container["image"] or any("dask_kubernetes.operator" in part for part in command)
    )


async def _listed(api: Any, note: str = "", **options: Any) -> list[Mapping[str, Any]]:
    """Return the items of a list; none if they may not be listed, with a warning that begins with the note."""
    try:
        answer = await call(api, "GET", **options)
    except kr8s.ServerError as error:
        if error.response is None or error.response.status_code != httpx.codes.FORBIDDEN:
            raise
        if note:
            log("warning", f"{note}: {error}.")
        return []
    return [] if answer is None else list(answer["items"])


def run(what: str, context: str | None, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await asyncio.wait_for(_with_api(context, work), _TIMEOUT)

    try:
        return asyncio.run(run())
    except kr8s.ServerError as error:
        remedy = (
            "use a kubeconfig that may read namespaces and CRDs, list and delete Jobs and Dask objects, and read and"
            " write Roles, RoleBindings and NetworkPolicies"
        )
        raise RegistrationError(what, why=str(error), remedy=remedy) from None
    except (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError, ValueError) as error:
        raise UnreachableError(
            what,
            why=f"the Kubernetes API did not answer ({error or type(error).__name__})",
            remedy="check that the cluster runs, and that KUBECONFIG and the stack's kubernetes:context name it",
        ) from None


async def _with_api(context: str | None, work: Callable[[Any], Awaitable[Any]]) -> Any:
    api = await kr8s.asyncio.api(context=cluster_access.context(context), kubeconfig=cluster_access.kubeconfig())
    return await work(api)


async def call(api: Any, method: str, **options: Any) -> Any:
    """Return the answer, or None if there is no such object or kind."""
    try:
        async with api.call_api(method, **options) as answer:
            return answer.json()
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise


def _has_ended(job: Mapping[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)
