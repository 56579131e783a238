"""ServiceAccounts and their RBAC permissions, which may be in another namespace than the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import naming
from infra.components import pods
from infra.naming import PROJECT


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a Role."""

    groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """One identity.

    Attributes:
        account: name of the ServiceAccount and of its Role.
        namespace: of the ServiceAccount.
        rules: its permissions; no Role when empty.
        rules_in: namespace in which it has them; that of the ServiceAccount when unset.
        annotations: of the ServiceAccount, such as those that map it to a cloud identity.
        pull_secrets: Secrets with which its pods pull images.

    """

    account: str
    namespace: Input[str]
    rules: Sequence[Rule] = ()
    rules_in: Input[str] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: Sequence[str] = ()


class Identity(ComponentResource):
    """A ServiceAccount and, if it has rules, its Role and RoleBinding.

    Without rules its pods get no token: they do not use the Kubernetes API.
    """

    name: Output[str]
    """The ServiceAccount's name, known once its RoleBinding exists."""

    def __init__(self, name: str, args: IdentityArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:Identity", name, {}, opts)
        metadata = naming.metadata(args.account, args.namespace if args.rules_in is None else args.rules_in)
        child = ResourceOptions(parent=self)
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=naming.metadata(args.account, args.namespace, **args.annotations),
            automount_service_account_token=bool(args.rules),
            image_pull_secrets=[{"name": secret} for secret in args.pull_secrets] or None,
            opts=child,
        )
        self.name = account.metadata.name.apply(str)
        if args.rules:
            role = k8s.rbac.v1.Role(
                f"{name}-role",
                metadata=metadata,
                rules=role_rules(args.rules),
                opts=child,
            )
            binding = k8s.rbac.v1.RoleBinding(
                f"{name}-binding",
                metadata=metadata,
                role_ref=k8s.rbac.v1.RoleRefArgs(
                    api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name.apply(str)
                ),
                subjects=role_subjects(self.name, args.namespace),
                opts=child,
            )
            self.name = pods.known_after(self.name, binding.id)
        self.register_outputs({"name": self.name})


def role_rules(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return a Role's rules in the form of the Kubernetes API."""
    return [
        {"apiGroups": list(rule.groups), "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in rules
    ]


def role_subjects(account: Input[str], namespace: Input[str]) -> list[dict[str, Any]]:
    """Return a RoleBinding's subjects in the form of the Kubernetes API."""
    return [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
