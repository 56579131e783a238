"""A Prefect server inside the stack's namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import naming
from infra.components import pods
from infra.naming import PROJECT
from infra.settings import EmbeddedPrefect

DATABASE = "/data"
HEALTH = {"path": "/api/health", "port": naming.SERVER_PORT}


@dataclass(frozen=True, kw_only=True)
class PrefectServerArgs:
    """What the server needs."""

    namespace: Input[str]
    image: Input[str]
    settings: EmbeddedPrefect


class PrefectServer(ComponentResource):
    """One server process with SQLite on a persistent volume.

    One, because SQLite knows one writer and the event broker lives in the process's memory.
    """

    service: Output[str]
    """Name of the Service, known once the server answers."""
    api_url: Output[str]
    """The API as a pod sees it."""

    def __init__(self, name: str, args: PrefectServerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:PrefectServer", name, {}, opts)
        child = ResourceOptions(parent=self)
        metadata = naming.metadata(naming.SERVER, args.namespace)
        # Volume and Service become ready with the pod that uses them, and that pod comes after them.
        unawaited = naming.metadata(naming.SERVER, args.namespace, **{"pulumi.com/skipAwait": "true"})
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata, automount_service_account_token=False, opts=child
        )
        volume = k8s.core.v1.PersistentVolumeClaim(
            f"{name}-volume",
            metadata=unawaited,
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.settings.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": args.settings.storage}),
            ),
            opts=child,
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=unawaited,
            spec=k8s.core.v1.ServiceSpecArgs(
                selector=naming.selector(naming.SERVER),
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=naming.SERVER_PORT, target_port="http")],
            ),
            opts=child,
        )
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=pods.deployment(
                naming.SERVER,
                _pod(args, account.metadata.name, volume.metadata.name),
                # Two servers on one SQLite file would corrupt each other's view during a rolling update.
                strategy="Recreate",
            ),
            opts=child,
        )
        self.service = Output.all(service.metadata.name, deployment.id).apply(lambda known: str(known[0]))
        self.api_url = Output.format("http://{0}.{1}.svc:{2}/api", self.service, args.namespace, naming.SERVER_PORT)
        self.register_outputs({"service": self.service, "api_url": self.api_url})


def _pod(args: PrefectServerArgs, account: Input[str], volume: Input[str]) -> dict[str, Any]:
    values = {
        "HOME": pods.WRITABLE,
        "PREFECT_HOME": DATABASE,
        # The server copies its UI there at start; site-packages is read-only.
        "PREFECT_UI_STATIC_DIRECTORY": f"{pods.WRITABLE}/ui",
        # The page is loaded by a browser, which cannot resolve the Service's name.
        "PREFECT_UI_API_URL": f"{args.settings.ui_url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{DATABASE}/prefect.db",
    }
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        # The image's own user owns nothing on a new volume: the group does.
        "securityContext": {**pods.pod_security(), "fsGroup": 10001},
        "containers": [
            {
                "name": "server",
                "image": args.image,
                "command": ["prefect", "server", "start", "--host", "0.0.0.0"],  # noqa: S104  a pod's own network
                "env": pods.environment(values),
                "ports": [{"name": "http", "containerPort": naming.SERVER_PORT}],
                "startupProbe": {"httpGet": HEALTH, "periodSeconds": 1, "failureThreshold": 120},
                "readinessProbe": {"httpGet": HEALTH, "periodSeconds": 5},
                "livenessProbe": {"httpGet": HEALTH, "periodSeconds": 10, "failureThreshold": 6},
                "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
                "securityContext": pods.container_security(),
                "volumeMounts": [pods.writable_mount(), {"name": "data", "mountPath": DATABASE}],
            }
        ],
        "volumes": [
            pods.writable_volume(),
            {"name": "data", "persistentVolumeClaim": {"claimName": volume}},
        ],
    }
