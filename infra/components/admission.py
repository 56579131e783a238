"""ValidatingAdmissionPolicies of a stack and their bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, ResourceOptions

from ephemeral_dask.contract import labels
from infra import naming
from infra.naming import PROJECT

_VERSION: Final = "admissionregistration.k8s.io/v1"


class Admission(ComponentResource):
    """Policies of the whole cluster, each named after the one namespace that it is about.

    Args:
        namespace: of runs, part of the names: a cluster has stacks with policies of their own.
        policies: name -> spec in the form of the Kubernetes API.

    """

    def __init__(
        self, name: str, namespace: str, policies: Mapping[str, Any], opts: ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{PROJECT}:index:Admission", name, {}, opts)
        for policy_name, spec in policies.items():
            declared, bound = policy(namespace, policy_name, spec), binding(namespace, policy_name, spec)
            created = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
                f"{name}-{policy_name}",
                metadata=declared["metadata"],
                spec=declared["spec"],
                opts=ResourceOptions(parent=self),
            )
            k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
                f"{name}-{policy_name}-binding",
                metadata=bound["metadata"],
                spec=bound["spec"],
                # A policy that is replaced is deleted before the binding would be.
                opts=ResourceOptions(parent=self, depends_on=[created]),
            )
        self.register_outputs({})


def object_name(namespace: str, policy_name: str) -> str:
    """Return the name of a policy and of its binding."""
    return f"{PROJECT}-{namespace}-{policy_name}"


def policy(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest of a policy."""
    return _manifest("ValidatingAdmissionPolicy", namespace, name, spec)


def binding(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest of its binding. It has no selector: the policy has one, so it holds even if bound again.

    A policy with parameters is evaluated for each flow pod.
    """
    bound: dict[str, Any] = {"policyName": object_name(namespace, name), "validationActions": ["Deny"]}
    if "paramKind" in spec:
        bound["paramRef"] = {
            "namespace": namespace,
            "selector": {"matchLabels": {labels.COMPONENT: labels.FLOW_RUN_POD}},
            # To deny would refuse an administrator's requests too: parameters are looked up before accounts.
            "parameterNotFoundAction": "Allow",
        }
    return _manifest("ValidatingAdmissionPolicyBinding", namespace, name, bound)


def _manifest(kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": object_name(namespace, name), "labels": dict(naming.labels("admission"))}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
