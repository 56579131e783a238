"""What every pod of the platform has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import Input, Output, ResourceOptions

from infra import capacity, naming
from infra.settings import Pod

WRITABLE: Final = "/tmp"  # noqa: S108  the mount point of a pod's own emptyDir
"""The one folder that a container may write to."""


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
    """Return the spec of a Deployment whose pods carry the component's labels and the stack's wishes.

    Of `versions` each is an annotation that changes with something that pods read only when they start.
    """
    metadata: dict[str, Any] = {"labels": {**settings.labels, **naming.labels(component, instance)}}
    if annotations := {**settings.annotations, **versions}:
        metadata["annotations"] = annotations
    return {
        "replicas": replicas,
        "strategy": {"type": strategy},
        "selector": {"matchLabels": naming.selector(component, instance)},
        "template": {"metadata": metadata, "spec": {**pod, **placement(settings)}},
    }


def pod(account: Input[str], container: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod of a component that keeps nothing: one container, and a folder to write to."""
    return {
        "serviceAccountName": account,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [writable_volume()],
    }


def placement(settings: Pod) -> dict[str, Any]:
    """Return where the pods may run, as far as the stack says anything about it."""
    wishes = {
        "nodeSelector": dict(settings.node_selector),
        "tolerations": [each.manifest() for each in settings.tolerations],
        "affinity": dict(settings.affinity),
        "topologySpreadConstraints": [dict(each) for each in settings.topology_spread_constraints],
        "priorityClassName": settings.priority_class,
    }
    return {key: value for key, value in wishes.items() if value}


def resources(component: str, settings: Pod) -> dict[str, Any]:
    """Return what a container of the component requests and may use; no CPU limit unless one is asked for.

    Args:
        component: a key of `capacity.PLATFORM`, which has the defaults.
        settings: the stack's.

    """
    cpu, memory, memory_limit = capacity.PLATFORM[component]
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
    """Make a budget that lets a drained node take one pod at a time.

    With one replica there is none: it would make every drain of its node wait for ever.
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


def pod_security() -> dict[str, Any]:
    """Return the pod half of what the `restricted` Pod Security Standard asks."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def container_security() -> dict[str, Any]:
    """Return the container half of what the `restricted` Pod Security Standard asks, with a read-only root on top."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def environment(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Plain values, and `(Secret, key)` pairs as references, in the shape a container wants."""
    entries: list[dict[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, tuple):
            secret, key = value
            reference = {"secretKeyRef": {"name": secret, "key": key}}
            entries.append({"name": name, "valueFrom": reference})
        else:
            entries.append({"name": name, "value": value})
    return entries


def writable_volume() -> dict[str, Any]:
    """Return the emptyDir behind `WRITABLE`."""
    return {"name": "tmp", "emptyDir": {}}


def writable_mount() -> dict[str, Any]:
    """Return its mount."""
    return {"name": "tmp", "mountPath": WRITABLE}


def named(resource_name: Output[Any], *after: Input[Any]) -> Output[str]:
    """Return a name that is known once other things are there too."""
    return Output.all(resource_name, *after).apply(lambda known: str(known[0]))
