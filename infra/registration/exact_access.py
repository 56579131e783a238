"""Roles, their bindings and network policies, held to exactly what is declared.

Pulumi's Kubernetes provider compares what was declared and no more: a rule that somebody appends to a Role, or gives to
a policy that has none, is drift in no refresh (https://github.com/pulumi/pulumi-kubernetes/issues/3262). What opens a
way is compared whole here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.registration.encoding import decode, encode
from infra.registration.errors import RegistrationError, say, speak_plainly
from infra.registration.stateless import RememberingProvider


@dataclass(frozen=True, kw_only=True)
class ExactAccessArgs:
    """What is held.

    Attributes:
        namespace: of the stack.
        roles: Role -> its rules.
        bindings: RoleBinding -> its subjects.
        policies: NetworkPolicy -> its spec.
        context: of the kubeconfig; the current one when unset.

    """

    namespace: str
    roles: Mapping[str, Sequence[Mapping[str, Any]]]
    bindings: Mapping[str, Sequence[Mapping[str, Any]]]
    policies: Mapping[str, Mapping[str, Any]]
    context: str | None = None


class ExactAccess(Resource, module="kubernetes", name="ExactAccess"):
    """Shows in a refresh, and takes back in the update after it, what was added from outside.

    Each object is an input of its own: a preview names the ones that change.
    """

    def __init__(self, name: str, args: ExactAccessArgs, opts: pulumi.ResourceOptions) -> None:
        props: dict[str, Any] = {"namespace": args.namespace}
        if args.context is not None:
            props["context"] = args.context
        for kind, objects in (("Role", args.roles), ("RoleBinding", args.bindings), ("NetworkPolicy", args.policies)):
            props |= {f"{kind}/{each}": encode(content) for each, content in objects.items()}
        super().__init__(ExactAccessProvider(), name, props, opts)


class ExactAccessProvider(RememberingProvider):
    """Writes only what differs: the objects themselves are made by resources of their own, which come before."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Hold from now on."""
        _restore(props)
        return super().create(props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Take back what is not declared."""
        _restore(_news)
        return super().update(_id, _olds, _news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Report the world. What is missing is another resource's to make; who may not look is told so."""
        speak_plainly()
        try:
            live = _live(props)
        except RegistrationError as error:
            say("warning", f"Roles and NetworkPolicies were not compared with the live ones. {error}")
            return ReadResult(id_, dict(props))
        seen = {**props, **{name: encode(content) for name, content in live.items()}}
        return ReadResult(id_, seen, dict(seen))


def _live(props: Mapping[str, Any]) -> dict[str, Any]:
    from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

    return Cluster(props["namespace"], props.get("context")).access(list(_held(props)))


def _restore(props: Mapping[str, Any]) -> None:
    from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

    speak_plainly()
    held = decode(_held(props))
    cluster = Cluster(props["namespace"], props.get("context"))
    live = cluster.access(list(held))
    cluster.set_access({name: held[name] for name, content in live.items() if content != held[name]})


def _held(props: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in props.items() if "/" in name}
