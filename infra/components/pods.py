"""What every pod of the platform has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra import naming

WRITABLE: Final = "/tmp"  # noqa: S108  the mount point of a pod's own emptyDir
"""The one folder that a container may write to."""


def deployment(component: str, pod: Mapping[str, Any], *, replicas: int = 1, strategy: str = "RollingUpdate") -> Any:
    """Return the spec of a Deployment whose pods carry the component's labels."""
    return {
        "replicas": replicas,
        "strategy": {"type": strategy},
        "selector": {"matchLabels": naming.selector(component)},
        "template": {"metadata": {"labels": naming.labels(component)}, "spec": pod},
    }


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
