"""The security context of every pod: the `restricted` Pod Security Standard, with a read-only root file system on top.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = 10001
"""Group of the images' user. A new volume belongs to root: pods that mount one ask for this group."""


def pod_security() -> dict[str, Any]:
    """Return the pod's half of the security context."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def volume_security() -> dict[str, Any]:
    """Return what a pod adds to its half when it mounts a shared volume."""
    return {"fsGroup": GROUP, "fsGroupChangePolicy": "OnRootMismatch"}


def container_security() -> dict[str, Any]:
    """Return the container's half of the security context."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
