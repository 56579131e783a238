"""A secret as pods see it: a reference to a Kubernetes Secret, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import naming
from infra.components import pods
from infra.naming import PROJECT
from infra.settings import SecretKey

_KEY: Final = "value"


@dataclass(frozen=True, kw_only=True)
class StackSecretArgs:
    """Where the secret comes from.

    Attributes:
        namespace: of the Secret.
        secret: name of the Secret that is made.
        existing: a Secret that somebody else made; nothing is made then.
        value: from the stack's configuration.

    """

    namespace: Input[str]
    secret: str
    existing: SecretKey | None
    value: Output[str] | None


class StackSecret(ComponentResource):
    """A Secret made of the stack's configuration, unless an existing one is named."""

    plain: tuple[str, str] | None
    """(Secret, key); nothing where no secret was given."""
    reference: tuple[Input[str], str] | None
    """The same, known once the Secret is there."""
    version: Mapping[str, Output[str]]
    """Annotation -> what changes with the value, for pods that read it; nothing where the Secret is somebody else's."""

    def __init__(self, name: str, args: StackSecretArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:StackSecret", name, {}, opts)
        self.version = {}
        if args.existing is not None:
            self.plain = self.reference = (args.existing.name, args.existing.key)
        elif args.value is not None:
            made = k8s.core.v1.Secret(
                f"{name}-secret",
                metadata=naming.metadata(args.secret, args.namespace),
                string_data={_KEY: args.value},
                opts=ResourceOptions(parent=self),
            )
            self.plain = (args.secret, _KEY)
            self.reference = (made.metadata.name.apply(str), _KEY)
            # The provider replaces a Secret whose data change, and so the uid changes with them and with nothing else:
            # not when somebody labels it, and unlike a checksum it tells nothing about a value that can be guessed.
            # A new Secret's id is unknown in a preview, which would otherwise show the uid of the one that goes.
            uid = pods.named(made.metadata.uid, made.id)
            self.version = {f"{PROJECT}/{args.secret}": uid}
        else:
            self.plain = self.reference = None
        self.register_outputs({})
