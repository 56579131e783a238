"""The reaper: compares flow runs, Jobs, pods and Dask clusters, and ends what is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import ports, security
from ephemeral_dask.contract.dask import GROUP
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.components import pods
from infra.components.identity import Identity, IdentityArgs, Rule
from infra.naming import PROJECT
from infra.settings import Pod
from infra.specs.namespaces import Namespaces

RULES: Final = (
    Rule(groups=[GROUP], resources=["daskclusters"], verbs=["list", "patch", "delete"]),
    Rule(groups=[GROUP], resources=["daskworkergroups"], verbs=["list", "patch", "delete"]),
    Rule(groups=[GROUP], resources=["daskautoscalers"], verbs=["list", "patch"]),
    Rule(groups=["batch"], resources=["jobs"], verbs=["get", "list", "delete"]),
    Rule(groups=[""], resources=["pods", "events"], verbs=["list"]),
    Rule(groups=[""], resources=["pods/log"], verbs=["get"]),
)
"""Permissions to compare runs with their Jobs and pods, to say why a pod did not start or how it ended, to delete the
Jobs and the Dask objects of runs that are over, and to remove finalizers that block the deletion."""


@dataclass(frozen=True, kw_only=True)
class RunBounds:
    """What bounds the runs of a work pool.

    Attributes:
        pending_timeout: seconds that a run may be Pending.
        crashed_after: seconds without a heartbeat after which a run without a Job is Crashed; None for never.

    """

    pending_timeout: int
    crashed_after: int | None


@dataclass(frozen=True, kw_only=True)
class DaskReaperArgs:
    """The reaper."""

    namespaces: Namespaces[Input[str]]
    image: Input[str]
    maximum_lifetime: int
    """Seconds after which a Dask cluster is deleted even if its run is live."""
    api_url: Input[str]
    """The Prefect API as a pod reaches it. The reaper may start before the server."""
    credential: Mapping[str, SecretRef] = field(default_factory=dict)
    """Environment variable -> reference of the Prefect credential; empty where the API requires none."""
    versions: Mapping[str, Input[str]] = field(default_factory=dict)
    """Annotation -> a value that changes with the credential."""
    ca: PodExtras = field(default_factory=PodExtras)
    """Files and variables with which it trusts a private certificate authority of the Prefect API."""
    pools: Mapping[str, RunBounds]
    """Work pool -> what bounds its runs."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of its ServiceAccount."""
    pull_secrets: tuple[str, ...] = ()
    pod_logs: str | None = None
    """Address of a pod's log in a browser, with {pod} and {namespace} in it."""


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
                namespace=args.namespaces.platform,
                rules=RULES,
                rules_in=args.namespaces.runs,
                annotations=args.annotations,
                pull_secrets=args.pull_secrets,
            ),
            child,
        )
        pod = pods.pod(identity.name, _container(args))
        pod["volumes"] += [{"name": name, **volume["source"]} for name, volume in args.ca.volumes.items()]
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=naming.metadata(naming.REAPER, args.namespaces.platform),
            spec=pods.deployment(naming.REAPER, pod, versions=args.versions),
            opts=child,
        )
        self.name = deployment.metadata.name.apply(str)
        self.register_outputs({"name": self.name})


def _container(args: DaskReaperArgs) -> dict[str, Any]:
    health = {"path": "/healthz", "port": ports.REAPER_HTTP}
    namespace = Output.format("--namespace={0}", args.namespaces.runs)
    bounds = {
        name: {"pendingTimeout": each.pending_timeout, "crashedAfter": each.crashed_after}
        for name, each in args.pools.items()
    }
    return {
        "name": "reaper",
        "image": args.image,
        "command": [
            *("python", "-m", "ops.reaper", namespace),
            f"--maximum-lifetime={args.maximum_lifetime}",
            f"--pools={json.dumps(bounds, sort_keys=True)}",
            *([f"--pod-logs={args.pod_logs}"] if args.pod_logs else []),
        ],
        "env": pods.environment(
            {"HOME": pods.WRITABLE, "PREFECT_API_URL": args.api_url, **args.credential, **args.ca.env}
        ),
        "ports": [{"name": "health", "containerPort": ports.REAPER_HTTP}],
        "startupProbe": {"httpGet": health, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"httpGet": health, "periodSeconds": 10},
        "livenessProbe": pods.liveness(health, period=20, failures=3),
        "resources": pods.resources("reaper", Pod()),
        "securityContext": security.container_security(),
        "volumeMounts": [
            pods.writable_mount(),
            *({"name": name, **volume["mount"]} for name, volume in args.ca.volumes.items()),
        ],
    }
