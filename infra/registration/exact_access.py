"""Keeps Roles, their bindings and network policies exactly as declared.

Pulumi's Kubernetes provider compares only the fields that were declared: a rule that somebody appends to a Role, or
adds to a policy without any, is not drift to it (https://github.com/pulumi/pulumi-kubernetes/issues/3262). This
resource compares the whole list of rules, subjects or policy fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import Input
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.registration.encoding import decode, encode
from infra.registration.errors import RegistrationError, install_error_formatter, log
from infra.registration.stateless import StatelessProvider


@dataclass(frozen=True, kw_only=True)
class ExactAccessArgs:
    """The declared access.

    Attributes:
        namespace: of all of them.
        roles: Role -> its rules.
        bindings: RoleBinding -> its subjects.
        policies: NetworkPolicy -> its spec.
        context: kubeconfig context; the current one if unset.

    """

    namespace: str
    roles: Mapping[str, Sequence[Mapping[str, Any]]]
    bindings: Mapping[str, Sequence[Mapping[str, Any]]]
    policies: Mapping[str, Input[Any]]
    context: str | None = None


class ExactAccess(Resource, module="kubernetes", name="ExactAccess"):
    """Shows access added from outside as drift in a refresh, and removes it in the next update.

    Each object is an input of its own, so a preview names the objects that change.
    """

    def __init__(self, name: str, args: ExactAccessArgs, opts: pulumi.ResourceOptions) -> None:
        props: dict[str, Any] = {"namespace": args.namespace}
        if args.context is not None:
            props["context"] = args.context
        for kind, objects in (("Role", args.roles), ("RoleBinding", args.bindings), ("NetworkPolicy", args.policies)):
            props |= {f"{kind}/{object_name}": encode(content) for object_name, content in objects.items()}
        super().__init__(ExactAccessProvider(), name, props, opts)


class ExactAccessProvider(StatelessProvider):
    """Writes only differences: the objects themselves belong to typed resources, which are created first."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Restore all declared Roles, bindings and policies."""
        _restore(props)
        return super().create(props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Restore all declared Roles, bindings and policies."""
        _restore(_news)
        return super().update(_id, _olds, _news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the live access. A missing object is left out: its typed resource recreates it.

        Without permission to read, the state stays as it is and a warning says so.
        """
        install_error_formatter()
        try:
            live = _live_access(props)
        except RegistrationError as error:
            log("warning", f"Roles and NetworkPolicies could not be read, so drift in them is not reported. {error}")
            return ReadResult(id_, dict(props))
        outputs = {**props, **{name: encode(content) for name, content in live.items()}}
        return ReadResult(id_, outputs, dict(outputs))


def _live_access(props: Mapping[str, Any]) -> dict[str, Any]:
    from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

    return Cluster(props["namespace"], props.get("context")).access(list(_declared_access(props)))


def _restore(props: Mapping[str, Any]) -> None:
    from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

    install_error_formatter()
    declared = decode(_declared_access(props))
    cluster = Cluster(props["namespace"], props.get("context"))
    live = cluster.access(list(declared))
    cluster.set_access({name: declared[name] for name, content in live.items() if content != declared[name]})


def _declared_access(props: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in props.items() if "/" in name}
