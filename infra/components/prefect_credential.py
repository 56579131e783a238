"""The Prefect credential as pods see it: a reference to a Secret, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import naming
from infra.naming import PROJECT
from infra.settings import CloudPrefect, EmbeddedPrefect, Prefect

API_KEY: Final = "PREFECT_API_KEY"
AUTH_STRING: Final = "PREFECT_API_AUTH_STRING"
_KEY: Final = "credential"


@dataclass(frozen=True, kw_only=True)
class PrefectCredentialArgs:
    """Where the credential comes from."""

    namespace: Input[str]
    prefect: Prefect
    value: Output[str] | None
    """The stack's own secret; used where no existing Secret is named."""


class PrefectCredential(ComponentResource):
    """A Secret made of the stack's configuration, if that is where the credential is."""

    references: Mapping[str, tuple[str, str]]
    """Environment variable -> (Secret, key); empty where the API asks for nothing."""

    def __init__(self, name: str, args: PrefectCredentialArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:PrefectCredential", name, {}, opts)
        self.references = self._references(name, args)
        self.register_outputs({})

    def _references(self, name: str, args: PrefectCredentialArgs) -> Mapping[str, tuple[str, str]]:
        prefect = args.prefect
        if isinstance(prefect, EmbeddedPrefect):
            return {}
        cloud = isinstance(prefect, CloudPrefect)
        variable = API_KEY if cloud else AUTH_STRING
        existing = prefect.key_secret if isinstance(prefect, CloudPrefect) else prefect.auth_secret
        if existing:
            return {variable: (existing.name, existing.key)}
        if args.value is None:
            return {}
        k8s.core.v1.Secret(
            f"{name}-secret",
            metadata={
                "name": naming.API_CREDENTIAL,
                "namespace": args.namespace,
                "labels": naming.labels(naming.API_CREDENTIAL),
            },
            string_data={_KEY: args.value},
            opts=ResourceOptions(parent=self),
        )
        return {variable: (naming.API_CREDENTIAL, _KEY)}
