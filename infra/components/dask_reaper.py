"""The reaper: ends Dask clusters whose flow run is over, however it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import ports
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
"""See what is over, delete it, and take finalizers away that nobody else does."""


@dataclass(frozen=True, kw_only=True)
class DaskReaperArgs:
    """What the reaper needs."""

    namespace: Input[str]
    image: Input[str]
    maximum_lifetime: int
    """Seconds that a Dask cluster may live, whatever its run is doing."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of its ServiceAccount."""
    pull_secrets: tuple[str, ...] = ()


class DaskReaper(ComponentResource):
    """One small pod that looks every few seconds.

    No CronJob: at a look a minute, and a pod's start on top, "gone within a minute" could not be promised.
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
        "securityContext": pods.container_security(),
        "volumeMounts": [pods.writable_mount()],
    }
