"""The attacks of a flow author on the platform and on other runs, each with its defence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ephemeral_dask.contract import dask, labels, results
from ephemeral_dask.contract import environment as env
from infra import naming
from infra.components.admission import object_name
from tests.e2e.attacks.attack import Attack, Request, Target
from tests.e2e.attacks.defence import RUN_NAME, Defence, policies, right, variable
from tests.e2e.newcomer import NAMESPACE, RUNS
from tests.support.manifests import Manifest, changed, mounting_results, of_job

WORKERS: Final = 1000
"""More than any ceiling."""

_CORE, _DASK = "/api/v1/namespaces/{}", f"/apis/{dask.API_VERSION}/namespaces/{{}}"
_BINDINGS: Final = "validatingadmissionpolicybindings"
_SERVICE: Final = "kubernetes.io/service-name"
_ADDRESS: Final = "192.0.2.7"
_OF_SCHEDULER, _OF_WORKER = "spec.scheduler.spec", "spec.worker.spec"
_DATABASE: Final = {"name": "LEAK", "valueFrom": {"secretKeyRef": {"name": naming.DATABASE, "key": "url"}}}

_Make = Callable[[Target], Request]


def _create(manifest: Manifest, namespace: str = RUNS) -> Request:
    return Request(method="POST", path=f"{_DASK.format(namespace)}/{dask.CLUSTERS}", content=manifest)


def _cluster(path: str, value: Any) -> _Make:
    """Create the run's Dask cluster with another value at a path."""
    return lambda target: _create(changed(target.cluster, path, value))


def _in_the_platforms_namespace(path: str, value: Any) -> _Make:
    return lambda target: _create(
        changed(changed(target.cluster, "metadata.namespace", NAMESPACE), path, value), NAMESPACE
    )


def _programs(target: Target) -> list[Manifest]:
    """Return the attacker's containers without the certificates of its cluster, which another rule would refuse."""
    containers = target.cluster["spec"]["worker"]["spec"]["containers"]
    return [{name: part for name, part in each.items() if name != "volumeMounts"} for each in containers]


def _patch_group(content: Any) -> _Make:
    """Patch the workers of another run."""
    path = f"{_DASK.format(RUNS)}/{dask.WORKER_GROUPS}"
    return lambda target: Request(method="PATCH", path=f"{path}/{target.victim}-default", content=content)


def _ask(method: str, path: str, content: Any = None, **headers: str) -> _Make:
    request = Request(method=method, path=path, content=content, headers=headers)
    return lambda _: request


def _run_with(variables: Mapping[str, Any]) -> _Make:
    """Create a run with job variables, which would begin in another century."""
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}
    content = {"name": RUN_NAME, "job_variables": variables, "state": later}
    return lambda target: Request(
        method="POST",
        path=f"deployments/{target.deployment}/create_flow_run",
        content=content,
        parameters={},
        api="prefect",
    )


_OPERATOR: Final = f"system:serviceaccount:{NAMESPACE}:{naming.OPERATOR}"
_CLUSTERS_OF_THE_PLATFORM: Final = right("create", dask.CLUSTERS, namespace=NAMESPACE, group=dask.GROUP)
_NO_CLUSTER: Final = f'cannot create resource "{dask.CLUSTERS}"'
_DASK_PODS, _RUNS = policies("dask-pods"), policies("runs")
_OTHERS: Final = "only the pod of that Job creates, changes and deletes it"

_SECRETS: Final[Mapping[str, Attack]] = {
    "mounts the Secret of the database through a Dask cluster": Attack(
        request=_cluster(f"{_OF_WORKER}.volumes.+", {"name": "x", "secret": {"secretName": naming.DATABASE}}),
        words="the stack declares the Secrets",
        defence=_DASK_PODS,
    ),
    "reads it as a variable of a Dask cluster": Attack(
        request=_cluster(f"{_OF_SCHEDULER}.containers.0.env.+", _DATABASE),
        words="the stack declares the Secrets",
        defence=_DASK_PODS,
    ),
    "reads it in a Dask cluster in the namespace of the platform": Attack(
        request=_in_the_platforms_namespace(f"{_OF_SCHEDULER}.containers.0.env.+", _DATABASE),
        words=_NO_CLUSTER,
        defence=_CLUSTERS_OF_THE_PLATFORM,
    ),
    **{
        f"lists the Secrets of namespace {namespace}": Attack(
            request=_ask("GET", f"{_CORE.format(namespace)}/secrets"),
            words='cannot list resource "secrets"',
            defence=right("list", "secrets", namespace=namespace),
        )
        for namespace in (NAMESPACE, RUNS)
    },
}

_ACCOUNTS: Final[Mapping[str, Attack]] = {
    **{
        f"runs a Dask cluster as {account}": Attack(
            request=_cluster(f"{_OF_WORKER}.serviceAccountName", account),
            words=f"run as ServiceAccount {naming.DASK}",
            defence=_DASK_PODS,
        )
        for account in (naming.OPERATOR, naming.WORKER, naming.FLOW_RUN)
    },
    "runs a Dask cluster as operator in the namespace of the platform": Attack(
        request=_in_the_platforms_namespace(f"{_OF_SCHEDULER}.serviceAccountName", naming.OPERATOR),
        words=_NO_CLUSTER,
        defence=_CLUSTERS_OF_THE_PLATFORM,
    ),
    "requests a token of the operator": Attack(
        request=_ask(
            "POST",
            f"{_CORE.format(NAMESPACE)}/serviceaccounts/{naming.OPERATOR}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        ),
        words='cannot create resource "serviceaccounts/token"',
        defence=right("create", "serviceaccounts/token", namespace=NAMESPACE),
    ),
    "says that it is the operator": Attack(
        request=_ask("GET", f"{_DASK.format(RUNS)}/{dask.CLUSTERS}", **{"Impersonate-User": _OPERATOR}),
        words='cannot impersonate resource "serviceaccounts"',
        defence=right("impersonate", "serviceaccounts", namespace=NAMESPACE),
    ),
    "switches an admission policy off": Attack(
        request=_ask("DELETE", f"/apis/admissionregistration.k8s.io/v1/{_BINDINGS}/{object_name(RUNS, 'runs')}"),
        words=f'cannot delete resource "{_BINDINGS}"',
        defence=right("delete", _BINDINGS, group="admissionregistration.k8s.io"),
    ),
}

_ENDPOINTS: Final[Mapping[str, Attack]] = {
    "labels Dask pods as the Prefect server": Attack(
        request=_cluster("metadata.labels.app~kubernetes~io/name", naming.SERVER),
        words="no label of Prefect, Dask or Kubernetes",
        defence=_RUNS,
    ),
    "labels Dask pods as flow pods": Attack(
        request=_cluster(f"metadata.labels.{labels.COMPONENT}", labels.FLOW_RUN_POD),
        words=f"{labels.COMPONENT}: {labels.DASK_POD}",
        defence=_DASK_PODS | _RUNS,
    ),
    "labels Dask pods in the namespace of the platform as the Prefect server": Attack(
        request=_in_the_platforms_namespace("metadata.labels.app~kubernetes~io/name", naming.SERVER),
        words=_NO_CLUSTER,
        defence=_CLUSTERS_OF_THE_PLATFORM,
    ),
    "adds an endpoint to the Prefect Service": Attack(
        request=_ask(
            "POST",
            f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "attack", "labels": {_SERVICE: naming.SERVER}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [_ADDRESS]}],
                "ports": [{"port": naming.SERVER_PORT}],
            },
        ),
        words='cannot create resource "endpointslices"',
        defence=right("create", "endpointslices", namespace=NAMESPACE, group="discovery.k8s.io"),
    ),
    "takes the label off its own pod by which NetworkPolicies select it": Attack(
        request=lambda target: Request(
            method="PATCH",
            path=f"{_CORE.format(RUNS)}/pods/{target.pod}",
            content={"metadata": {"labels": {labels.COMPONENT: None}}},
        ),
        words='cannot patch resource "pods"',
        defence=right("patch", "pods", namespace=RUNS),
    ),
}

_SERVICES: Final[Mapping[str, Attack]] = {
    "opens a load balancer through a Dask cluster": Attack(
        request=_cluster("spec.scheduler.service.type", "LoadBalancer"),
        words="the Service of a Dask scheduler is of type ClusterIP",
        defence=policies("services"),
    ),
    "takes an address of others for its scheduler": Attack(
        request=_cluster("spec.scheduler.service.externalIPs", [_ADDRESS]),
        words="has no externalIPs",
        defence=policies("services"),
    ),
    "opens a load balancer by itself": Attack(
        request=_ask(
            "POST",
            f"{_CORE.format(RUNS)}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "attack"},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 443}], "selector": {labels.COMPONENT: "dask"}},
            },
        ),
        words='cannot create resource "services"',
        defence=right("create", "services", namespace=RUNS) | policies("creators", "services"),
    ),
}

_CEILING: Final[Mapping[str, Attack]] = {
    "raises the ceiling in its own environment": Attack(
        request=lambda target: _create(target.raised), words="dask.ceiling of the stack file", defence=_RUNS
    ),
    "raises the ceiling of a run by the job variable env": Attack(
        request=_run_with({"env": {env.CEILING: str(WORKERS)}}), words=env.CEILING, defence=variable("env")
    ),
    "asks for more workers than the ceiling by a job variable": Attack(
        request=_run_with({"dask_maximum": WORKERS}), words="maximum", defence=variable("dask_maximum")
    ),
}

_OTHER_RUNS: Final[Mapping[str, Attack]] = {
    "takes the workers of another run": Attack(
        request=_patch_group({"spec": {"worker": {"replicas": 0}}}), words=_OTHERS, defence=_RUNS
    ),
    "changes the program of another run's workers": Attack(
        request=lambda target: _patch_group({"spec": {"worker": {"spec": {"containers": _programs(target)}}}})(target),
        words=_OTHERS,
        defence=_RUNS,
    ),
    "deletes the Dask cluster of another run": Attack(
        request=lambda target: Request(method="DELETE", path=f"{_DASK.format(RUNS)}/{dask.CLUSTERS}/{target.victim}"),
        words=_OTHERS,
        defence=_RUNS,
    ),
    "creates a Dask cluster in the name of another run": Attack(
        request=lambda target: _create(of_job(target.cluster, target.victim_job)),
        words=_OTHERS,
        defence=_RUNS,
    ),
    "deletes the pod of another run": Attack(
        request=lambda target: Request(method="DELETE", path=f"{_CORE.format(RUNS)}/pods/{target.victim_pod}"),
        words='cannot delete resource "pods"',
        defence=right("delete", "pods", namespace=RUNS),
    ),
}


def _results(**mount: str) -> _Make:
    """Create the run's Dask cluster with another mount of the result volume."""
    return lambda target: _create(mounting_results(target.cluster, _OF_WORKER, **mount))


_OWN_FOLDER: Final = "the folder of their own deployment"
_OF_RESULTS: Final[Mapping[str, Attack]] = {
    "mounts the results of another deployment": Attack(
        request=_results(subPath=results.folder("0198f0c4-0000-7000-8000-000000000000")),
        words=_OWN_FOLDER,
        defence=policies("results"),
    ),
    "mounts the results of all deployments": Attack(
        request=_results(), words=_OWN_FOLDER, defence=policies("results") | _DASK_PODS
    ),
}

ATTACKS: Final[Mapping[str, Attack]] = {
    **_SECRETS,
    **_ACCOUNTS,
    **_ENDPOINTS,
    **_SERVICES,
    **_CEILING,
    **_OTHER_RUNS,
    **_OF_RESULTS,
}
"""What a flow pod does -> how it is refused. Names are read after "A flow pod"."""

OWN: Final = Attack(request=lambda target: _create(target.cluster), words="", defence=Defence())
"""What a run needs, and is not refused: it is what an attack changes that is."""


def by_defence() -> dict[str, tuple[dict[str, Attack], Defence]]:
    """Return kind of defence -> the attacks that it refuses, and all of it."""
    result: dict[str, tuple[dict[str, Attack], Defence]] = {}
    for name, attack in ATTACKS.items():
        attacks, defence = result.get(str(attack.defence), ({}, Defence()))
        result[str(attack.defence)] = ({**attacks, name: attack}, defence | attack.defence)
    return result
