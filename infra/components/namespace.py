"""The namespaces of the stack: the platform's, and that of runs with their quota and identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Output, ResourceOptions

from ephemeral_dask.contract.dask import GROUP
from infra import naming
from infra.components import pods
from infra.components.identity import Identity, IdentityArgs, Rule
from infra.naming import PROJECT
from infra.settings import Identities, Quota

POD_SECURITY_VERSION = "v1.31"
"""Pinned, so that an upgrade of the cluster does not change which pods are admitted."""

_FLOW_RUN_RULES: Final = (
    Rule(groups=[GROUP], resources=["daskclusters"], verbs=["create", "get", "delete"]),
    Rule(groups=[GROUP], resources=["daskworkergroups"], verbs=["create", "patch", "watch"]),
    Rule(groups=[""], resources=["services"], verbs=["watch"]),
    Rule(groups=[""], resources=["pods"], verbs=["list", "watch"]),
    Rule(groups=[""], resources=["events"], verbs=["list"]),
    Rule(groups=[""], resources=["pods/log"], verbs=["get"]),
)
_TLS_RULE: Final = Rule(groups=[""], resources=["secrets"], verbs=["create"])

DEFAULT_LIMITS: Final = {
    "default": {"memory": "1Gi"},
    "default_request": {"cpu": "100m", "memory": "256Mi"},
}
"""Defaults of containers without requests: a quota refuses pods without them."""


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """One namespace.

    Attributes:
        name: of the namespace.
        stack: the stack that owns it, `organization/project/stack`.
        protect: whether a destroy refuses to delete it.

    """

    name: str
    stack: str
    protect: bool = False


@dataclass(frozen=True, kw_only=True)
class RunsNamespaceArgs(NamespaceArgs):
    """The namespace of runs.

    Attributes:
        quota: the sum that its pods may request; no ResourceQuota when unset.
        tls: whether Dask clusters have certificates of their own.
        identities: annotations of the ServiceAccounts.
        pull_secrets: Secrets with which pods pull images.

    """

    quota: Quota | None = None
    tls: bool = True
    identities: Identities = field(default_factory=Identities)
    pull_secrets: Sequence[str] = ()


def flow_run_rules(*, tls: bool) -> tuple[Rule, ...]:
    """Return the permissions of a flow run: to create its Dask cluster, diagnose a failed start, scale and delete it.

    Args:
        tls: whether it creates a Secret with the certificates of the cluster, which it never reads.

    """
    return (*_FLOW_RUN_RULES, *([_TLS_RULE] if tls else []))


class PlatformNamespace(ComponentResource):
    """The platform's namespace, under the `restricted` Pod Security Standard."""

    name: Output[str]
    """The namespace's name, known once it exists."""

    def __init__(self, name: str, args: NamespaceArgs, opts: ResourceOptions | None = None) -> None:
        # The type is part of the URN in existing stacks, whose only namespace it was.
        super().__init__(f"{PROJECT}:index:FlowNamespace", name, {}, opts)
        self.name = _namespace(name, args, parent=self)
        self.register_outputs({"name": self.name})


class RunsNamespace(ComponentResource):
    """The namespace of runs, under the same standard, with their quota and the identities of their pods."""

    name: Output[str]
    """The namespace's name, known once it exists with its quota."""

    def __init__(self, name: str, args: RunsNamespaceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:RunsNamespace", name, {}, opts)
        self.name = _namespace(name, args, parent=self)
        child = ResourceOptions(parent=self)
        limits = k8s.core.v1.LimitRange(
            f"{name}-limits",
            metadata=naming.metadata("defaults", self.name),
            spec={"limits": [{"type": "Container", **DEFAULT_LIMITS}]},
            opts=child,
        )
        after = [limits.id]
        if args.quota is not None:
            quota = k8s.core.v1.ResourceQuota(
                f"{name}-quota",
                metadata=naming.metadata("quota", self.name),
                spec={
                    "hard": {
                        "requests.cpu": args.quota.cpu,
                        "requests.memory": args.quota.memory,
                        "pods": str(args.quota.pods),
                        **{f"requests.{name}": count for name, count in args.quota.resources.items()},
                    }
                },
                opts=child,
            )
            after.append(quota.id)
        self.name = pods.known_after(self.name, *after)
        for account, rules, settings in (
            (naming.FLOW_RUN, flow_run_rules(tls=args.tls), args.identities.flow_run),
            (naming.DASK, (), args.identities.dask),
        ):
            Identity(
                f"{name}-{account}",
                IdentityArgs(
                    account=account,
                    namespace=self.name,
                    rules=rules,
                    annotations=settings.annotations,
                    pull_secrets=args.pull_secrets,
                ),
                child,
            )
        self.register_outputs({"name": self.name})


def _namespace(name: str, args: NamespaceArgs, *, parent: ComponentResource) -> Output[str]:
    security = "pod-security.kubernetes.io"
    namespace = k8s.core.v1.Namespace(
        f"{name}-namespace",
        metadata={
            "name": args.name,
            "labels": {
                **naming.labels("namespace"),
                f"{security}/enforce": "restricted",
                f"{security}/enforce-version": POD_SECURITY_VERSION,
            },
            "annotations": {naming.STACK: args.stack},
        },
        opts=ResourceOptions(parent=parent, protect=args.protect),
    )
    created: Output[str] = namespace.metadata.name.apply(str)
    return created
