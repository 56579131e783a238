"""What scheduler and workers have in common: pod, container, environment, certificates. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask.contract import security, tls

if TYPE_CHECKING:
    from ephemeral_dask.pod_context import Credential, PodContext

SCRATCH: Final = "/tmp"  # noqa: S108 - the pod's own emptyDir; the root file system is read-only
GRACE: Final = 15
"""Seconds from SIGTERM to SIGKILL. Dask's processes end within 2 s; a task that does not is given up."""

POD_IP: Final = "POD_IP"
EVERY_ADDRESS: Final = "every-address"
"""A name of `::` within the pod: the option with the address of Dask's HTTP server takes no address with colons."""


def pod(cluster: str, context: PodContext, container: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that the `restricted` Pod Security Standard admits, without a Kubernetes credential."""
    made: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": security.pod_security(),
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    if context.tls:
        secret = tls.secret_name(cluster, context.owner.name if context.owner else None)
        made["volumes"].append({"name": tls.VOLUME, "secret": {"secretName": secret}})
        container["volumeMounts"].append({"name": tls.VOLUME, "mountPath": tls.FOLDER, "readOnly": True})
    if context.ipv6:
        made["hostAliases"] = [{"ip": "::", "hostnames": [EVERY_ADDRESS]}]
    if context.user is not None:
        made["securityContext"]["runAsUser"] = context.user
    if context.service_account:
        made["serviceAccountName"] = context.service_account
    return made


def container(
    context: PodContext, name: str, args: list[str], env: dict[str, str], credential: Credential | None = None
) -> dict[str, Any]:
    """Return the container in which a process of Dask's runs, without its resources and ports.

    Args:
        context: where it runs.
        name: of the container.
        args: of the image's entrypoint.
        env: beside what all Dask pods have.
        credential: of the Prefect API, for a process that calls it.

    """
    return {
        "name": name,
        "image": context.image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "env": _environment(context, env, credential),
        "securityContext": security.container_security(),
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }


def protocol(context: PodContext) -> str:
    """Return the scheme of Dask's addresses."""
    return "tls" if context.tls else "tcp"


def _environment(context: PodContext, env: dict[str, str], credential: Credential | None) -> list[dict[str, Any]]:
    plain = {
        "HOME": SCRATCH,
        "USER": "dask",  # a UID without a passwd entry has no name, and getpass.getuser() asks for one
        "PREFECT_HOME": f"{SCRATCH}/prefect",
        "DASK_TEMPORARY_DIRECTORY": SCRATCH,
        **context.passed_on,
        **env,
        **(tls.variables() if context.tls else {}),
    }
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in sorted(plain.items())]
    if context.ipv6:
        variables.append({"name": POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    if credential is not None:
        variables.append({"name": credential.variable, "valueFrom": credential.secret.value_from()})
    return variables
