"""Kubernetes, as far as no typed resource covers it: what lives in the namespace, what is in the way of a stack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract.dask import API_VERSION
from infra.registration.errors import RegistrationError, UnreachableError, say
from infra.registration.preflight import DEFINITIONS, OPERATOR_IMAGE, Seen

_KINDS: Final = ("daskclusters", "daskautoscalers", "daskworkergroups")

FLOW_RUN: Final = "prefect.io/flow-run-id"
"""Label of the Jobs that Prefect's worker makes."""

_ACCESS: Final = {
    "Role": ("rbac.authorization.k8s.io/v1", "roles", "rules"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", "subjects"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", "spec"),
}
"""Kind -> version, plural, and the field that says what it allows."""

_PATIENCE: Final = 30.0
"""Seconds for kubeconfig, login helpers and the questions themselves."""

_FOREGROUND: Final = {"propagationPolicy": "Foreground"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lives in the namespace.

    Attributes:
        jobs: flow runs' Jobs that have not ended.
        dask: `<kind>/<name>` of Dask's own objects.

    """

    jobs: tuple[str, ...]
    dask: tuple[str, ...]


class Cluster:
    """One namespace, by the kubeconfig of whoever runs Pulumi.

    Args:
        namespace: whose objects are meant.
        context: of the kubeconfig; the current one when unset.

    Every method raises `UnreachableError` when Kubernetes does not answer, and `RegistrationError` when it refuses.

    """

    def __init__(self, namespace: str, context: str | None) -> None:
        self._namespace = namespace
        self._context = context

    def look(self) -> Found:
        """Return what lives now; a kind that is not served has no objects."""

        async def work(api: Any) -> Found:
            jobs = await self._list(api, "batch/v1", "jobs", labelSelector=FLOW_RUN)
            dask = [
                f"{kind}/{each['metadata']['name']}"
                for kind in _KINDS
                for each in await self._list(api, API_VERSION, kind)
            ]
            live = [job["metadata"]["name"] for job in jobs if not _ended(job)]
            return Found(jobs=tuple(live), dask=tuple(dask))

        found: Found = self._do("look for live runs", work)
        return found

    def delete_runs(self) -> None:
        """Ask for the end of every flow run's Job and every Dask cluster."""

        async def work(api: Any) -> None:
            for job in await self._list(api, "batch/v1", "jobs", labelSelector=FLOW_RUN):
                await self._delete(api, "batch/v1", f"jobs/{job['metadata']['name']}")
            for kind in ("daskclusters", "daskautoscalers"):
                for each in await self._list(api, API_VERSION, kind):
                    await self._delete(api, API_VERSION, f"{kind}/{each['metadata']['name']}")

        self._do("end live runs", work)

    def let_go(self, dask: tuple[str, ...]) -> None:
        """Take the finalizers away that nobody else does, and delete.

        Args:
            dask: as `Found` names them.

        """

        async def work(api: Any) -> None:
            for name in dask:
                await self._call(
                    api,
                    "PATCH",
                    API_VERSION,
                    name,
                    content='{"metadata":{"finalizers":null}}',
                    headers={"Content-Type": "application/merge-patch+json"},
                )
                await self._delete(api, API_VERSION, name)

        self._do("let Dask objects go", work)

    def access(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what objects allow, without those that do not exist.

        Args:
            names: `Role/<name>`, `RoleBinding/<name>` and `NetworkPolicy/<name>`.

        """

        async def work(api: Any) -> dict[str, Any]:
            found = {}
            for name in names:
                version, url, field = _access(name)
                if (live := await self._call(api, "GET", version, url)) is not None:
                    found[name] = live.get(field) or []
            return found

        found: dict[str, Any] = self._do("look at Roles and NetworkPolicies", work)
        return found

    def set_access(self, wanted: Mapping[str, Any]) -> None:
        """Write what objects allow, whole.

        Args:
            wanted: name, as in `access`, -> rules, subjects or spec.

        """

        async def work(api: Any) -> None:
            for name, content in wanted.items():
                version, url, field = _access(name)
                # A merge would leave what somebody has added to a spec.
                patch = [{"op": "add", "path": f"/{field}", "value": content}]
                headers = {"Content-Type": "application/json-patch+json"}
                await self._call(api, "PATCH", version, url, content=json.dumps(patch), headers=headers)

        if wanted:
            self._do("take back what was added to Roles and NetworkPolicies", work)

    def _do(self, doing: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        what = f"Could not {doing} in namespace '{self._namespace}'"
        return _ask(what, self._context, work)

    async def _list(self, api: Any, version: str, kind: str, **params: str) -> list[Mapping[str, Any]]:
        answer = await self._call(api, "GET", version, kind, params=params)
        return [] if answer is None else list(answer["items"])

    async def _delete(self, api: Any, version: str, name: str) -> None:
        await self._call(api, "DELETE", version, name, params=_FOREGROUND)

    async def _call(self, api: Any, method: str, version: str, url: str, **more: Any) -> Any:
        return await _call(api, method, version=version, namespace=self._namespace, url=url, **more)


def _access(name: str) -> tuple[str, str, str]:
    kind, _, own = name.partition("/")
    version, plural, field = _ACCESS[kind]
    return version, f"{plural}/{own}", field


def look_around(namespace: str, context: str | None) -> Seen:
    """Return what a stack of that namespace has to get along with.

    Whoever may not list Deployments of all namespaces sees those of none: an operator elsewhere goes unnoticed then,
    with a warning.

    Raises:
        UnreachableError: Kubernetes does not answer.
        RegistrationError: it refuses even to show the namespace or the definitions.

    """

    async def work(api: Any) -> Seen:
        there = await _call(api, "GET", version="v1", url=f"namespaces/{namespace}")
        definitions = {}
        for name in DEFINITIONS:
            url = f"customresourcedefinitions/{name}"
            found = await _call(api, "GET", version="apiextensions.k8s.io/v1", url=url)
            if found is not None:
                definitions[name] = found["metadata"].get("annotations", {})
        return Seen(
            namespace=None if there is None else there["metadata"].get("annotations", {}),
            definitions=definitions,
            operators=await _operators(api) if definitions else (),
        )

    seen: Seen = _ask(f"Could not look at namespace '{namespace}' and Dask's definitions", context, work)
    return seen


async def _operators(api: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    try:
        found = await _call(api, "GET", version="apps/v1", url="deployments")
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.FORBIDDEN:
            say("warning", f"Not looked for Dask operators in other namespaces: {error}.")
            return ()
        raise
    return tuple(
        (each["metadata"]["namespace"], each["metadata"]["name"], command)
        for each in found["items"]
        for container in each["spec"]["template"]["spec"]["containers"]
        for command in [(*container.get("command", ()), *container.get("args", ()))]
        if OPERATOR_IMAGE in container["image"] or any("dask_kubernetes.operator" in part for part in command)
    )


def _ask(what: str, context: str | None, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await asyncio.wait_for(_with_api(context, work), _PATIENCE)

    try:
        return asyncio.run(run())
    except kr8s.ServerError as error:
        remedy = (
            "use a kubeconfig that may read namespaces and definitions, list and delete Jobs and Dask objects, and read"
            " and write Roles, RoleBindings and NetworkPolicies"
        )
        raise RegistrationError(what, why=str(error), remedy=remedy) from None
    except (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError, ValueError) as error:
        raise UnreachableError(
            what,
            why=f"the Kubernetes API did not answer ({error or type(error).__name__})",
            remedy="see that the cluster runs and that KUBECONFIG names it",
        ) from None


async def _with_api(context: str | None, work: Callable[[Any], Awaitable[Any]]) -> Any:
    return await work(await kr8s.asyncio.api(context=context))


async def _call(api: Any, method: str, **more: Any) -> Any:
    """Return the answer, or None when there is no such object or kind."""
    try:
        async with api.call_api(method, **more) as answer:
            return answer.json()
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise


def _ended(job: Mapping[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)
