"""A secret of the stack's configuration as a Kubernetes Secret, which pods refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.components import pods
from infra.naming import PROJECT
from infra.settings import SecretKey

KEY: Final = "value"
"""Key of the Secrets that are created."""


@dataclass(frozen=True, kw_only=True)
class StackSecretArgs:
    """Where the secret comes from.

    Attributes:
        namespace: of the Secret.
        secret: name of the Secret that is created.
        existing: a key of a Secret that exists; no Secret is created then.
        value: from the stack's configuration.
        after: what must be done before the Secret changes.

    """

    namespace: Input[str]
    secret: str
    existing: SecretKey | None
    value: Output[str] | None
    after: Sequence[Resource] = ()


class StackSecret(ComponentResource):
    """A Secret with a value of the stack's configuration, unless an existing one is named."""

    ref: SecretRef | None
    """Known before the Secret exists; None where no secret was given."""
    created_ref: SecretRef | None
    """The same, known once the Secret exists."""
    version: Mapping[str, Output[str]]
    """Annotation -> a value that changes with the secret, for pods that read it; empty for an existing Secret."""

    def __init__(self, name: str, args: StackSecretArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:StackSecret", name, {}, opts)
        self.version = {}
        if args.existing is not None:
            self.ref = self.created_ref = SecretRef(name=args.existing.name, key=args.existing.key)
        elif args.value is not None:
            secret = k8s.core.v1.Secret(
                f"{name}-secret",
                metadata=naming.metadata(args.secret, args.namespace),
                string_data={KEY: args.value},
                opts=ResourceOptions(parent=self, depends_on=[*args.after]),
            )
            self.ref = SecretRef(name=args.secret, key=KEY)
            self.created_ref = SecretRef(name=secret.metadata.name.apply(str), key=KEY)
            # The provider replaces a Secret whose data change, so the uid changes with the data and with nothing else:
            # not with labels, and unlike a checksum it reveals nothing about a value that can be guessed.
            # The id of a new Secret is unknown in a preview, which would otherwise show the uid of the old one.
            uid = pods.known_after(secret.metadata.uid, secret.id)
            self.version = {f"{PROJECT}/{args.secret}": uid}
        else:
            self.ref = self.created_ref = None
        self.register_outputs({})
