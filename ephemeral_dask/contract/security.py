"""The security context of every pod: the `restricted` Pod Security Standard, with a read-only root file system on top.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


_POD_FLAGS: Final = ("hostNetwork", "hostPID", "hostIPC")
_VOLUMES: Final = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
"""Kinds of volumes that the restricted standard admits."""

_SECCOMP: Final = ("RuntimeDefault", "Localhost")


_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"


def annotation_violations(annotations: Mapping[str, Any]) -> list[str]:
    """Return what in a pod's annotations the restricted standard does not admit."""
    return [
        f"annotation {name} must be runtime/default or localhost/<profile>"
        for name, value in annotations.items()
        if name.startswith(_APP_ARMOR) and value != "runtime/default" and not str(value).startswith("localhost/")
    ]


def violations(pod: Mapping[str, Any]) -> list[str]:
    """Return what in a pod's spec the restricted standard, or the read-only root file system, does not admit.

    Args:
        pod: the spec, whose containers have a security context each.

    """
    own = pod.get("securityContext") or {}
    errors = [f"{flag} must not be true" for flag in _POD_FLAGS if pod.get(flag)]
    errors += [f"securityContext.{name} must not be set" for name in ("sysctls", "seLinuxOptions") if own.get(name)]
    errors += _shared_violations(own, "securityContext")
    if own.get("runAsNonRoot") is not True:
        errors.append("securityContext.runAsNonRoot must be true")
    if (own.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        errors.append("securityContext.seccompProfile.type must be RuntimeDefault or Localhost")
    for volume in pod.get("volumes") or ():
        kinds = sorted(set(volume) - {"name", *_VOLUMES})
        errors += [f"volume '{volume.get('name')}' must not be of kind {kind}" for kind in kinds]
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(name) or ():
            where = f"container '{container.get('name')}'"
            errors += [f"{where}: {error}" for error in _container_violations(container)]
    return errors


def _container_violations(container: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true"
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities.drop must contain ALL"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add must not be set"
    if own.get("privileged"):
        yield "privileged must not be true"
    if own.get("runAsNonRoot") is False:
        yield "runAsNonRoot must not be false"
    if (own.get("seccompProfile") or {}).get("type", _SECCOMP[0]) not in _SECCOMP:
        yield "seccompProfile.type must be RuntimeDefault or Localhost"
    if own.get("procMount", "Default") != "Default":
        yield "procMount must be Default"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort must not be set"
    yield from _shared_violations(own, "securityContext")


def _shared_violations(own: Mapping[str, Any], where: str) -> Iterator[str]:
    if own.get("runAsUser") == 0:
        yield f"{where}.runAsUser must not be 0"
    if (own.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{where}.windowsOptions.hostProcess must not be true"
    if (own.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield f"{where}.appArmorProfile.type must not be Unconfined"
