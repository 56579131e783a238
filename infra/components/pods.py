"""The parts that all pods of the platform share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import Input, Output, ResourceOptions

from ephemeral_dask.contract import security
from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.settings import PLATFORM, Pod

WRITABLE: Final = "/tmp"  # noqa: S108  the mount point of a pod's own emptyDir
"""The only folder that a container may write to."""


def deployment(
    component: str,
    pod: Mapping[str, Any],
    *,
    settings: Pod = Pod(),  # noqa: B008  frozen
    instance: str | None = None,
    replicas: int = 1,
    strategy: str = "RollingUpdate",
    versions: Mapping[str, Input[str]] = {},
) -> Any:
    """Return the spec of a Deployment.

    Args:
        component: whose labels the pods get.
        pod: spec of the pods.
        settings: of the stack, for the pods' placement, labels and annotations.
        instance: for components with several Deployments.
        replicas: number of pods.
        strategy: `RollingUpdate` or `Recreate`.
        versions: annotation -> a value that changes with something that pods read only when they start.

    """
    metadata: dict[str, Any] = {"labels": {**settings.labels, **naming.labels(component, instance)}}
    if annotations := {**settings.annotations, **versions}:
        metadata["annotations"] = annotations
    # The status of a pod keeps the last lines of a program that failed, when its log is gone.
    containers = [{**each, "terminationMessagePolicy": "FallbackToLogsOnError"} for each in pod["containers"]]
    return {
        "replicas": replicas,
        "strategy": {"type": strategy},
        "selector": {"matchLabels": naming.selector(component, instance)},
        "template": {"metadata": metadata, "spec": {**pod, "containers": containers, **placement(settings)}},
    }


def pod(account: Input[str], container: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod of a stateless component: one container, and a folder to write to."""
    return {
        "serviceAccountName": account,
        "enableServiceLinks": False,
        "securityContext": security.pod_security(),
        "containers": [container],
        "volumes": [writable_volume()],
    }


def placement(settings: Pod) -> dict[str, Any]:
    """Return the scheduling fields that the stack sets."""
    fields = {
        "nodeSelector": dict(settings.node_selector),
        "tolerations": [each.manifest() for each in settings.tolerations],
        "affinity": dict(settings.affinity),
        "topologySpreadConstraints": [dict(each) for each in settings.topology_spread_constraints],
        "priorityClassName": settings.priority_class,
    }
    return {key: value for key, value in fields.items() if value}


def resources(component: str, settings: Pod) -> dict[str, Any]:
    """Return what a container of the component requests and may use; no CPU limit unless one is asked for.

    Args:
        component: a key of `settings.PLATFORM`, which has the defaults.
        settings: the stack's.

    """
    cpu, memory, memory_limit = PLATFORM[component]
    limits = {"memory": settings.memory_limit or memory_limit}
    if settings.cpu_limit:
        limits["cpu"] = settings.cpu_limit
    return {
        "requests": {"cpu": settings.cpu_request or cpu, "memory": settings.memory_request or memory},
        "limits": limits,
    }


def disruption_budget(
    name: str, metadata: Any, match: Mapping[str, str], replicas: int, opts: ResourceOptions
) -> k8s.policy.v1.PodDisruptionBudget | None:
    """Register a budget that lets a node drain evict one pod at a time.

    None with one replica: it would block every drain of the node.
    """
    if replicas < 2:
        return None
    return k8s.policy.v1.PodDisruptionBudget(
        f"{name}-disruption-budget",
        metadata=metadata,
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=k8s.meta.v1.LabelSelectorArgs(match_labels=match)
        ),
        opts=opts,
    )


def liveness(http_get: Mapping[str, Any], *, period: int, failures: int) -> dict[str, Any]:
    """Return a liveness probe.

    A program on a busy node answers late, and a restart would only make it start again there: Kubernetes' own limit of
    one second is not enough.

    Args:
        http_get: what is asked.
        period: seconds between two probes.
        failures: in a row, after which the container is restarted.

    """
    return {"httpGet": dict(http_get), "periodSeconds": period, "timeoutSeconds": 10, "failureThreshold": failures}


def environment(values: Mapping[str, Input[str] | SecretRef]) -> list[dict[str, Any]]:
    """Return the `env` of a container: values, and references to Secrets."""
    entries: list[dict[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, SecretRef):
            entries.append({"name": name, "valueFrom": value.value_from()})
        else:
            entries.append({"name": name, "value": value})
    return entries


def writable_volume() -> dict[str, Any]:
    """Return the volume at `WRITABLE`, an emptyDir."""
    return {"name": "tmp", "emptyDir": {}}


def writable_mount() -> dict[str, Any]:
    """Return the mount of that volume."""
    return {"name": "tmp", "mountPath": WRITABLE}


def known_after(name: Input[Any], *others: Input[Any]) -> Output[str]:
    """Return a name that is known once the others are known too."""
    return Output.all(name, *others).apply(lambda values: str(values[0]))
