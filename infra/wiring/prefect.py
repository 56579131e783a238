"""The Prefect API of a stack: its own server, or one that exists, and the credential for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pulumi import Input, Output, Resource

from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.components import prefect_server, stack_secret
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.stack_secret import StackSecret, StackSecretArgs
from infra.config import Secrets
from infra.registration.credential_gate import CredentialGate, CredentialGateArgs
from infra.registration.endpoint import ApiEndpoint, PortForward, Url
from infra.settings import CloudPrefect, EmbeddedPrefect, Postgresql, SecretKey, Settings
from infra.specs.credential import CREDENTIALS, Auth
from infra.wiring.foundation import Foundation


@dataclass(frozen=True, kw_only=True)
class PrefectAccess:
    """How the Prefect API is reached, and with which credential.

    Attributes:
        endpoint: the API as the machine that runs Pulumi reaches it.
        api_url: the API as a pod reaches it.
        early_api_url: the same, known before the server is ready.
        credential: environment variable -> reference of the credential, known before the Secret exists; empty where
            the API requires none.
        created_credential: the same, known once the Secret exists.
        versions: annotation -> a value that changes with the credential, for pods that read it when they start.
        resources: what must exist before a flow run starts.

    """

    endpoint: ApiEndpoint
    api_url: Input[str]
    early_api_url: Input[str]
    credential: Mapping[str, SecretRef]
    created_credential: Mapping[str, SecretRef]
    versions: Mapping[str, Input[str]]
    resources: tuple[Resource, ...]


def prefect_access(settings: Settings, secrets: Secrets, base: Foundation) -> PrefectAccess:
    """Register the Secret with the credential and, in mode `embedded`, the server."""
    prefect = settings.prefect
    kind: Auth = "api-key" if isinstance(prefect, CloudPrefect) else "auth-string"
    args = StackSecretArgs(
        namespace=base.namespaces.platform,
        secret=naming.API_CREDENTIAL,
        existing=prefect.key_secret if isinstance(prefect, CloudPrefect) else prefect.auth_secret,
        value=secrets.api_key if isinstance(prefect, CloudPrefect) else secrets.auth_string,
        after=_gate(settings, secrets, base),
    )
    credential = StackSecret("prefect-credential", args)
    # A pod can refer to Secrets of its own namespace only. The name is the same, so that references are.
    of_runs = StackSecret("runs-prefect-credential", replace(args, namespace=base.namespaces.runs))
    # Prefect Cloud always requires a key, from the environment if it is not configured; a server may require nothing.
    auth: Auth = kind if kind == "api-key" or credential.ref else "none"
    resources: list[Resource] = [credential, of_runs]
    endpoint: ApiEndpoint
    api_url: Input[str]
    early_api_url: Input[str]
    if isinstance(prefect, EmbeddedPrefect):
        server = _server(settings, prefect, secrets, base, credential)
        resources.append(server)
        endpoint = PortForward(
            namespace=base.namespaces.platform, service=server.service, port=naming.SERVER_PORT, auth=auth
        )
        api_url = server.api_url
        early_api_url = prefect_server.api_url(naming.SERVER, base.namespaces.platform)
    else:
        endpoint = Url(url=prefect.api_url, auth=auth)
        api_url = early_api_url = prefect.pod_url
    variable = CREDENTIALS[kind].variable
    return PrefectAccess(
        endpoint=endpoint,
        api_url=api_url,
        early_api_url=early_api_url,
        credential={variable: credential.ref} if credential.ref else {},
        created_credential={variable: credential.created_ref} if credential.created_ref else {},
        versions=credential.version,
        resources=tuple(resources),
    )


def _gate(settings: Settings, secrets: Secrets, base: Foundation) -> tuple[Resource, ...]:
    """Register what waits for live runs before the password of the stack's own server changes."""
    prefect = settings.prefect
    if not isinstance(prefect, EmbeddedPrefect) or prefect.auth_secret is not None or secrets.auth_string is None:
        return ()
    gate = CredentialGateArgs(
        namespace=settings.namespaces.runs,
        secret_namespace=settings.namespaces.platform,
        secret=naming.API_CREDENTIAL,
        secret_key=stack_secret.KEY,
        deadline=settings.drain.deadline,
    )
    return (CredentialGate("prefect-credential-gate", gate, base.checked),)


def _server(
    settings: Settings, prefect: EmbeddedPrefect, secrets: Secrets, base: Foundation, credential: StackSecret
) -> PrefectServer:
    database = redis = None
    if isinstance(prefect.database, Postgresql):
        existing = prefect.database.url_secret
        database = _url_secret("prefect-database", naming.DATABASE, existing, secrets.database_url, base)
    if prefect.redis is not None:
        redis = _url_secret("prefect-redis", naming.REDIS, prefect.redis.url_secret, secrets.redis_url, base)
    return PrefectServer(
        "prefect-server",
        PrefectServerArgs(
            namespace=base.namespaces.platform,
            image=base.image.platform,
            settings=prefect,
            auth=credential.created_ref,
            database=database.created_ref if database else None,
            redis=redis.created_ref if redis else None,
            versions={
                **credential.version,
                **(database.version if database else {}),
                **(redis.version if redis else {}),
            },
            annotations=settings.identities.server.annotations,
            pull_secrets=settings.image.pull_secrets,
            protect=settings.protect,
            ip_family=settings.network.ip_family,
            metrics=settings.monitoring.server_secret is not None,
        ),
    )


def _url_secret(
    name: str, secret: str, existing: SecretKey | None, value: Output[str] | None, base: Foundation
) -> StackSecret:
    """Register the Secret with an address that contains a password, unless an existing one is named."""
    args = StackSecretArgs(namespace=base.namespaces.platform, secret=secret, existing=existing, value=value)
    return StackSecret(name, args)
