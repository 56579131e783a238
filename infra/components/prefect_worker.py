"""The Prefect worker: polls one work pool and creates a Kubernetes Job for each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import labels, security
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.components import pods
from infra.components.identity import Rule
from infra.naming import PROJECT
from infra.settings import Worker
from infra.specs.addresses import ADDRESSES, IpFamily
from infra.specs.namespaces import Namespaces

RULES: Final = (
    Rule(groups=["batch"], resources=["jobs"], verbs=["create", "get", "list", "watch", "delete"]),
    Rule(groups=[""], resources=["pods"], verbs=["list", "watch"]),
    Rule(groups=[""], resources=["pods/log"], verbs=["get"]),
)
"""Permissions that prefect-kubernetes 0.8.0 uses: Jobs of runs, and their pods and logs to report why one crashed."""

HEALTH_PORT: Final = 8080
"""Port of the worker's health check, Prefect's default."""


@dataclass(frozen=True, kw_only=True)
class PrefectWorkerArgs:
    """The worker of one work pool."""

    namespaces: Namespaces[Input[str]]
    account: Input[str]
    """ServiceAccount with `RULES`; all workers of a stack share it."""
    image: Input[str]
    api_url: Input[str]
    """The Prefect API as a pod reaches it."""
    pool: str
    """Name of the work pool, part of the Deployment's name."""
    work_pool: Input[str]
    """The same, known once the pool exists."""
    settings: Worker
    credential: Mapping[str, SecretRef]
    """Environment variable -> reference of the Prefect credential; empty where the API requires none."""
    versions: Mapping[str, Input[str]] = field(default_factory=dict)
    """Annotation -> a value that changes with the credential."""
    ca: PodExtras = field(default_factory=PodExtras)
    """The volume with the stack's CA certificates, and the variables that name it."""
    ip_family: IpFamily = "IPv4"
    """Of the addresses of pods."""


class PrefectWorker(ComponentResource):
    """A Deployment that polls one work pool."""

    name: Output[str]
    """The Deployment's name, known once it is ready."""

    def __init__(self, name: str, args: PrefectWorkerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:PrefectWorker", name, {}, opts)
        child = ResourceOptions(parent=self)
        settings = args.settings
        metadata = naming.metadata(naming.WORKER, args.namespaces.platform, instance=args.pool)
        pod = pods.pod(args.account, _container(args))
        pod["volumes"] += [{"name": name, **volume["source"]} for name, volume in args.ca.volumes.items()]
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=pods.deployment(
                naming.WORKER,
                pod,
                settings=settings.pod,
                instance=args.pool,
                replicas=settings.replicas,
                versions=args.versions,
            ),
            opts=child,
        )
        pods.disruption_budget(name, metadata, naming.selector(naming.WORKER, args.pool), settings.replicas, child)
        self.name = deployment.metadata.name.apply(str)
        self.register_outputs({"name": self.name})


def _container(args: PrefectWorkerArgs) -> dict[str, Any]:
    command = ["prefect", "worker", "start", "--type", "kubernetes", "--with-healthcheck"]
    # The pool is a resource of this stack: a worker must not create it with another template.
    command += ["--install-policy", "never", "--pool"]
    limit = ["--limit", str(args.settings.limit)] if args.settings.limit else []
    health = {"path": "/health", "port": HEALTH_PORT}
    return {
        "name": "worker",
        "image": args.image,
        "command": [*command, args.work_pool, *limit],
        "env": pods.environment(_environment(args)),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "startupProbe": {"httpGet": health, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"httpGet": health, "periodSeconds": 10},
        "livenessProbe": pods.liveness(health, period=20, failures=6),
        "resources": pods.resources("worker", args.settings.pod),
        "securityContext": security.container_security(),
        "volumeMounts": [
            pods.writable_mount(),
            *({"name": name, **volume["mount"]} for name, volume in args.ca.volumes.items()),
        ],
    }


def _environment(args: PrefectWorkerArgs) -> dict[str, Any]:
    values: dict[str, Any] = {
        "HOME": pods.WRITABLE,
        "PREFECT_HOME": f"{pods.WRITABLE}/prefect",
        "PREFECT_API_URL": args.api_url,
        "PREFECT_WORKER_QUERY_SECONDS": str(args.settings.poll_seconds),
        # Without it, the Job of a run that is cancelled before its pod starts is not deleted.
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        # The kubelet probes from outside the pod.
        "PREFECT_WORKER_WEBSERVER_HOST": ADDRESSES[args.ip_family].listen,
        "PREFECT_WORKER_WEBSERVER_PORT": str(HEALTH_PORT),
        # Without it, the observer watches the whole cluster, which RBAC refuses.
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES": args.namespaces.runs,
        # Pods of runs have this label and their Jobs do not: the observer reports pods, and the reaper alone judges
        # runs. The observer would call a run Crashed without a cause, and while the run is being rescheduled.
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_ADDITIONAL_LABEL_FILTERS": (
            f"{labels.COMPONENT}={labels.FLOW_RUN_POD}"
        ),
    }
    for variable, reference in args.credential.items():
        setting = f"PREFECT_INTEGRATIONS_KUBERNETES_WORKER_{variable.removeprefix('PREFECT_')}_SECRET"
        values[variable] = reference
        values[f"{setting}_NAME"] = reference.name
        values[f"{setting}_KEY"] = reference.key
    return values | dict(args.ca.env) | dict(args.settings.pod.env)
