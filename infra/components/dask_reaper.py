"""The reaper: deletes Dask clusters whose flow run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import ports, security
from ephemeral_dask.contract.dask import GROUP
from infra import naming
from infra.components import pods
from infra.components.identity import Identity, IdentityArgs, Rule
from infra.naming import PROJECT
from infra.settings import Pod

RULES: Final = (
    Rule(groups=[GROUP], resources=["daskclusters"], verbs=["list", "patch", "delete"]),
    Rule(groups=[GROUP], resources=["daskautoscalers", "daskworkergroups"], verbs=["list", "patch"]),
    Rule(groups=["batch"], resources=["jobs"], verbs=["get"]),
    Rule(groups=[""], resources=["pods"], verbs=["list"]),
)
"""Permissions to find clusters of ended runs, to delete them, and to remove finalizers that block the deletion."""


@dataclass(frozen=True, kw_only=True)
class DaskReaperArgs:
    """The reaper."""

    namespace: Input[str]
    image: Input[str]
    maximum_lifetime: int
    """Seconds after which a Dask cluster is deleted even if its run is live."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of its ServiceAccount."""
    pull_secrets: tuple[str, ...] = ()


class DaskReaper(ComponentResource):
    """One small pod that checks every few seconds.

    Not a CronJob, which starts a pod at most once a minute: clusters are to be deleted within a minute.
    """

    name: Output[str]
    """The Deployment's name, known once it is ready."""

    def __init__(self, name: str, args: DaskReaperArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:DaskReaper", name, {}, opts)
        child = ResourceOptions(parent=self)
        identity = Identity(
            f"{name}-identity",
            IdentityArgs(
                account=naming.REAPER,
                namespace=args.namespace,
                rules=RULES,
                annotations=args.annotations,
                pull_secrets=args.pull_secrets,
            ),
            child,
        )
        pod = pods.pod(identity.name, _container(args))
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=naming.metadata(naming.REAPER, args.namespace),
            spec=pods.deployment(naming.REAPER, pod),
            opts=child,
        )
        self.name = deployment.metadata.name.apply(str)
        self.register_outputs({"name": self.name})


def _container(args: DaskReaperArgs) -> dict[str, Any]:
    health = {"path": "/healthz", "port": ports.REAPER_HTTP}
    namespace = Output.format("--namespace={0}", args.namespace)
    return {
        "name": "reaper",
        "image": args.image,
        "command": ["python", "-m", "ops.reaper", namespace, f"--maximum-lifetime={args.maximum_lifetime}"],
        "env": pods.environment({"HOME": pods.WRITABLE}),
        "ports": [{"name": "health", "containerPort": ports.REAPER_HTTP}],
        "startupProbe": {"httpGet": health, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"httpGet": health, "periodSeconds": 10},
        "livenessProbe": {"httpGet": health, "periodSeconds": 20, "failureThreshold": 3},
        "resources": pods.resources("reaper", Pod()),
        "securityContext": security.container_security(),
        "volumeMounts": [pods.writable_mount()],
    }
