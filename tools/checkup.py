"""Whether a stack that was brought up works: pods, Prefect API, workers, deployments."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from infra import naming
from infra.settings import CloudPrefect, EmbeddedPrefect, ExistingOperator, Settings
from infra.validation import Plan
from tools import compatibility, server_volume
from tools.errors import Problem
from tools.forward import prefect_api
from tools.kubernetes import Kubernetes, Object
from tools.paths import ROOT
from tools.stack import Stack

_TIMEOUT: Final = 15.0
"""Seconds for one answer of the Prefect API."""


def checks(
    stack: Stack, settings: Settings, plan: Plan, outputs: Mapping[str, Any]
) -> list[tuple[str, Callable[[], Sequence[Problem]]]]:
    """Return title and check of what a stack that is up consists of.

    Args:
        stack: that is up.
        settings: of it.
        plan: its deployments, as prefect.yaml declares them.
        outputs: of its last update.

    """
    environment = stack.environment
    name = stack.name
    listed: Sequence[tuple[str, Callable[[], Sequence[Problem]]]] = (
        (f"pods of stack '{name}'", lambda: pods(Kubernetes(environment), settings, name)),
        ("Prefect API and workers", lambda: _prefect(stack, settings)),
        ("versions of Prefect server, Dask operator and CRDs", lambda: _versions(stack, settings)),
        ("volume of the Prefect server", lambda: server_volume.problems(settings, environment)),
        (f"deployments of stack '{name}' as in prefect.yaml", lambda: list(deployments(plan, outputs, name))),
    )
    return list(listed)


def pods(cluster: Kubernetes, settings: Settings, stack: str) -> list[Problem]:
    """Return a problem for each Kubernetes Deployment of a stack that is missing or has too few pods.

    Args:
        cluster: the stack's.
        settings: of the stack.
        stack: its name.

    Raises:
        Problem: Kubernetes does not answer or refuses.

    """
    workloads = cluster.list(
        "deployments",
        version="apps/v1",
        namespace=settings.namespaces.platform,
        selector=naming.PART_OF,
    )
    return list(unready(workloads, settings, stack))


def unready(workloads: Sequence[Object], settings: Settings, stack: str) -> Iterator[Problem]:
    """Yield a problem for each Kubernetes Deployment of a stack that is missing or has too few pods.

    Args:
        workloads: that exist in the platform's namespace.
        settings: of the stack.
        stack: its name.

    """
    namespace = settings.namespaces.platform
    repair = f"See kubectl --namespace {namespace} get pods; make up STACK={stack} restores what was changed"
    names = [str(each["metadata"]["name"]) for each in workloads]
    missing = [name for name in _components(settings) if not any(each.startswith(name) for each in names)]
    for name in missing:
        yield Problem(f"Deployment {name} does not exist in namespace {namespace}", remedy=repair)
    for each, name in zip(workloads, names, strict=True):
        replicas = int(each["spec"].get("replicas", 1))
        ready = int(each.get("status", {}).get("readyReplicas") or 0)
        if replicas == 0:
            yield Problem(f"Deployment {name} is scaled to 0 replicas", remedy=repair)
        elif ready < replicas:
            yield Problem(f"Deployment {name} has {ready} of {replicas} pods ready", remedy=repair)


def _components(settings: Settings) -> list[str]:
    embedded = [naming.SERVER] if isinstance(settings.prefect, EmbeddedPrefect) else []
    operator = [naming.OPERATOR] if settings.dask.operator.mode == "install" else []
    return [*embedded, naming.WORKER, *operator, naming.REAPER]


def _prefect(stack: Stack, settings: Settings) -> list[Problem]:
    with (
        prefect_api(settings, stack.environment) as url,
        _client(url, stack, settings) as client,
    ):
        try:
            offline = [pool for pool in settings.work_pools if not _has_worker(client, pool)]
        except httpx.HTTPStatusError as error:
            return [
                Problem(
                    f"The Prefect API refuses {error.request.url.path} (HTTP {error.response.status_code})",
                    remedy="Check the credential: the environment's, or the stack's secret",
                )
            ]
        except httpx.HTTPError as error:
            return [
                Problem(
                    f"The Prefect API does not answer ({error or type(error).__name__})",
                    remedy=f"See that its pods run, then make up STACK={stack.name}",
                )
            ]
    return [
        Problem(
            f"No worker polls work pool '{pool}'",
            remedy=f"See kubectl --namespace {settings.namespaces.platform} logs deployment/{naming.WORKER}-{pool}",
        )
        for pool in offline
    ]


def _versions(stack: Stack, settings: Settings) -> list[Problem]:
    locks, operator = compatibility.read(settings, ROOT), settings.dask.operator
    cluster = Kubernetes(stack.environment)
    namespace = operator.namespace if isinstance(operator, ExistingOperator) else settings.namespaces.platform
    crds = cluster.list("customresourcedefinitions", version="apiextensions.k8s.io/v1")
    operators = cluster.list("deployments", version="apps/v1", namespace=namespace)
    problems = [*compatibility.of_cluster(crds, operators, locks, namespace=namespace)]
    if isinstance(settings.prefect, CloudPrefect):
        return problems  # it serves every client
    with prefect_api(settings, stack.environment) as url, _client(url, stack, settings) as client:
        try:
            server = str(client.get("admin/version").raise_for_status().json())
        except httpx.HTTPError:
            return problems  # reported by the check of the API
    return [*problems, *compatibility.of_server(server, locks)]


def _has_worker(client: httpx.Client, pool: str) -> bool:
    answer = client.get(f"work_pools/{pool}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False
    # A question by POST would need a CSRF token. NOT_READY: no worker has sent a heartbeat lately.
    return str(answer.raise_for_status().json()["status"]) != "NOT_READY"


def _client(url: str, stack: Stack, settings: Settings) -> httpx.Client:
    # A port of this machine is not reached through a proxy.
    proxied = not isinstance(settings.prefect, EmbeddedPrefect)
    return httpx.Client(base_url=url, headers=_headers(stack, settings), timeout=_TIMEOUT, trust_env=proxied)


def _headers(stack: Stack, settings: Settings) -> dict[str, str]:
    credential = stack.credential(settings.prefect)
    if key := credential.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if auth := credential.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": "Basic " + base64.b64encode(auth.encode()).decode()}
    return {}


def deployments(plan: Plan, outputs: Mapping[str, Any], stack: str) -> Iterator[Problem]:
    """Yield a problem when the deployments of the last update are not those of prefect.yaml.

    Args:
        plan: the deployments, as prefect.yaml declares them.
        outputs: of the last update.
        stack: its name.

    """
    declared = {spec.key for specs in plan.deployments.values() for spec in specs}
    registered = set(outputs.get("deployments") or {})
    remedy = f"Run make up STACK={stack}; make preview STACK={stack} shows what it changes"
    if missing := sorted(declared - registered):
        yield Problem(f"Not registered yet: {', '.join(missing)}", remedy=remedy)
    if extra := sorted(registered - declared):
        yield Problem(f"Registered, and no longer in prefect.yaml: {', '.join(extra)}", remedy=remedy)
