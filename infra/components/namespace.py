"""The namespace of the stack and who acts in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Output, ResourceOptions

from infra import naming
from infra.components.identity import Identity, Rule
from infra.naming import PROJECT

POD_SECURITY_VERSION = "v1.31"
"""Pinned, so that an upgrade of the cluster does not change what is allowed; raise it on purpose."""


FLOW_RUN_RULES: Final = (
    Rule(
        groups=["kubernetes.dask.org"],
        resources=["daskclusters"],
        verbs=["create", "get", "list", "watch", "patch", "delete"],
    ),
    Rule(
        groups=["kubernetes.dask.org"],
        resources=["daskworkergroups"],
        verbs=["get", "list", "watch", "patch"],
    ),
    Rule(
        groups=["kubernetes.dask.org"],
        resources=["daskautoscalers"],
        verbs=["create", "get", "list", "patch", "delete"],
    ),
    Rule(groups=[""], resources=["pods", "services", "events"], verbs=["get", "list", "watch"]),
    Rule(groups=[""], resources=["pods/log"], verbs=["get"]),
)
"""What a flow run needs to bring up its Dask cluster, to explain why one does not start, and to end it."""


@dataclass(frozen=True, kw_only=True)
class FlowNamespaceArgs:
    """What the namespace is called."""

    name: str


class FlowNamespace(ComponentResource):
    """Namespace under the `restricted` Pod Security Standard, with the identities of flow runs and Dask pods."""

    name: Output[str]
    """The namespace's name, known once it exists."""

    def __init__(self, name: str, args: FlowNamespaceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:FlowNamespace", name, {}, opts)
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
            },
            opts=ResourceOptions(parent=self),
        )
        self.name = namespace.metadata.name.apply(str)
        child = ResourceOptions(parent=self)
        Identity(f"{name}-{naming.FLOW_RUN}", naming.FLOW_RUN, self.name, FLOW_RUN_RULES, child)
        Identity(f"{name}-{naming.DASK}", naming.DASK, self.name, (), child)
        self.register_outputs({"name": self.name})
