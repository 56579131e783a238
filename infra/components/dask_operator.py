"""The Dask operator, limited to one namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import ports, security
from ephemeral_dask.contract.dask import GROUP
from infra import naming
from infra.components import pods
from infra.components.dask_crds import custom_resource_definitions
from infra.components.identity import Identity, IdentityArgs, Rule
from infra.naming import PROJECT
from infra.settings import InstallOperator
from infra.specs.addresses import ADDRESSES, IpFamily
from infra.specs.namespaces import Namespaces

RULES: Final = (
    # `delete` is for clusters that have been idle for too long.
    Rule(groups=[GROUP], resources=["daskclusters"], verbs=["list", "watch", "patch", "delete"]),
    Rule(groups=[GROUP], resources=["daskworkergroups"], verbs=["get", "list", "watch", "patch", "create"]),
    Rule(groups=[GROUP], resources=["daskautoscalers"], verbs=["list", "watch", "patch"]),
    Rule(groups=[GROUP], resources=["daskjobs"], verbs=["list", "watch"]),
    Rule(groups=[""], resources=["services"], verbs=["get", "list", "watch", "patch", "create"]),
    Rule(groups=[""], resources=["pods"], verbs=["get", "list", "watch"]),
    Rule(groups=[""], resources=["events"], verbs=["create"]),
    Rule(groups=["apps"], resources=["deployments"], verbs=["get", "list", "create", "delete"]),
)
"""Permissions that the controller of dask-kubernetes 2026.3.0 and kopf use in the namespace of runs, according to the
API server's audit log. DaskJobs would need more; flow runs do not use them."""


@dataclass(frozen=True, kw_only=True)
class DaskOperatorArgs:
    """The operator."""

    namespaces: Namespaces[Input[str]]
    image: Input[str]
    settings: InstallOperator = field(default_factory=InstallOperator)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of its ServiceAccount."""
    pull_secrets: tuple[str, ...] = ()
    ip_family: IpFamily = "IPv4"
    """Of the addresses of pods."""


class DaskOperator(ComponentResource):
    """CRDs from the dask-kubernetes package, and a Deployment with a namespaced Role."""

    name: Output[str]
    """The Deployment's name, known once it is ready."""

    def __init__(self, name: str, args: DaskOperatorArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:DaskOperator", name, {}, opts)
        child = ResourceOptions(parent=self)
        crds = [
            # URN and inputs of v1.CustomResourceDefinition without its types in Python, which each command would
            # import and compare every value of a schema with.
            k8s.apiextensions.CustomResource(
                f"{name}-{crd['spec']['names']['plural']}",
                api_version="apiextensions.k8s.io/v1",
                kind="CustomResourceDefinition",
                metadata={
                    "name": crd["metadata"]["name"],
                    "labels": {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": PROJECT},
                    "annotations": {
                        naming.DASK_VERSION: metadata.version("dask-kubernetes"),
                        # All stacks of a cluster apply the same CRDs, and one of them is upgraded first: force
                        # ownership. The preflight has refused a downgrade.
                        "pulumi.com/patchForce": "true",
                    },
                },
                spec=crd["spec"],
                # Other namespaces may have DaskClusters, which would be deleted with their CRD.
                opts=ResourceOptions(parent=self, retain_on_delete=True),
            )
            for crd in custom_resource_definitions()
        ]
        identity = Identity(
            f"{name}-identity",
            IdentityArgs(
                account=naming.OPERATOR,
                namespace=args.namespaces.platform,
                rules=RULES,
                rules_in=args.namespaces.runs,
                annotations=args.annotations,
                pull_secrets=args.pull_secrets,
            ),
            child,
        )
        account = pods.known_after(identity.name, *[each.id for each in crds])
        pod = pods.pod(account, _container(args))
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=naming.metadata(naming.OPERATOR, args.namespaces.platform),
            # During a rolling update two operators would act on the same clusters.
            spec=pods.deployment(naming.OPERATOR, pod, settings=args.settings.pod, strategy="Recreate"),
            opts=child,
        )
        self.name = deployment.metadata.name.apply(str)
        self.register_outputs({"name": self.name})


def _container(args: DaskOperatorArgs) -> dict[str, Any]:
    health = {"path": "/healthz", "port": ports.OPERATOR_HTTP}
    liveness = f"--liveness=http://{ADDRESSES[args.ip_family].listen_in_url}:{ports.OPERATOR_HTTP}/healthz"
    namespace = Output.format("--namespace={0}", args.namespaces.runs)
    return {
        "name": "operator",
        "image": args.image,
        "command": ["kopf", "run", "-m", "ops.operator", liveness, namespace],
        "env": pods.environment({"HOME": pods.WRITABLE, env.NAMESPACE: args.namespaces.runs, **args.settings.pod.env}),
        "ports": [{"name": "health", "containerPort": ports.OPERATOR_HTTP}],
        "startupProbe": {"httpGet": health, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"httpGet": health, "periodSeconds": 10},
        "livenessProbe": pods.liveness(health, period=20, failures=6),
        "resources": pods.resources("operator", args.settings.pod),
        "securityContext": security.container_security(),
        "volumeMounts": [pods.writable_mount()],
    }
