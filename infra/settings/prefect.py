"""Which Prefect API the stack uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.settings.pod import Pod
from infra.settings.retention import Retention
from infra.settings.types import Bytes, DnsLabel, Model, SecretKey, Url

_THROUGH_PORT_FORWARD = "http://127.0.0.1:4200"
"""Where `make ui` forwards an embedded server without an ingress."""


class Sqlite(Model):
    """SQLite on a persistent volume, for a single server."""

    kind: Literal["sqlite"] = "sqlite"
    storage: Bytes = "1Gi"
    """Size of the volume."""
    storage_class: str | None = None
    """StorageClass of the volume; the cluster's default when unset."""


class Postgresql(Model):
    """An existing PostgreSQL database."""

    kind: Literal["postgresql"]
    url_secret: SecretKey | None = None
    """Existing Secret with the address, `postgresql+asyncpg://user:password@host:port/database`; otherwise the
    stack's secret `prefectDatabaseUrl` is used, and must be set."""


Database = Annotated[Sqlite | Postgresql, Field(discriminator="kind")]


class Redis(Model):
    """A Redis through which several server processes share events, leases and background tasks."""

    url_secret: SecretKey | None = None
    """Existing Secret with the address, `redis://user:password@host:port/0`; otherwise the stack's secret
    `prefectRedisUrl` is used, and must be set."""


class Ingress(Model):
    """Access for browsers and other clusters."""

    host: str
    class_name: str | None = None
    tls_secret: DnsLabel | None = None
    """Secret with the certificate; the ingress controller's own when unset."""
    annotations: Mapping[str, str] = Field(default_factory=dict)


class EmbeddedPrefect(Model):
    """A Prefect server in the platform's namespace."""

    mode: Literal["embedded"] = "embedded"
    database: Database = Sqlite()
    ui_url: Url | None = None
    """Address of the UI in a browser; by default that of the ingress, or of `make ui`."""
    auth: Literal["password", "none"] = "password"
    """Whether the server asks for a password. Without one, everyone who reaches it can run code in the namespace of
    runs; `none` is refused with an ingress, `network.prefectClients`, `protect` or PostgreSQL."""
    auth_secret: SecretKey | None = None
    """Existing Secret with the basic-auth string that the server requires, `user:password`, which must exist in both
    namespaces; otherwise `prefectAuthString` is used, and must be set unless `auth` is `none`."""
    ingress: Ingress | None = None
    replicas: int = Field(default=1, ge=1)
    background_services: Literal["together", "apart"] = "together"
    """Whether the scheduler, event handling etc. run in the server's process or in a separate Deployment."""
    redis: Redis | None = None
    retention: Retention = Retention()
    """For how long the server keeps what it records."""
    pod: Pod = Pod()

    @model_validator(mode="after")
    def _several_processes_share_state(self) -> EmbeddedPrefect:
        several = self.replicas > 1 or self.background_services == "apart"
        if several and (isinstance(self.database, Sqlite) or self.redis is None):
            message = (
                "replicas above 1, or backgroundServices apart, need database.kind postgresql and redis: SQLite allows "
                "one writer, and without Redis each process has its own events"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_answer_about_a_password(self) -> EmbeddedPrefect:
        if self.auth == "none" and self.auth_secret is not None:
            raise ValueError("auth is none, and authSecret names a password: remove one of them")
        return self

    @property
    def browser_url(self) -> str:
        """Address of the UI in a browser."""
        if self.ui_url is None and self.ingress is not None:
            return f"https://{self.ingress.host}"
        return self.ui_url or _THROUGH_PORT_FORWARD


class ServerPrefect(Model):
    """An existing self-hosted Prefect server."""

    mode: Literal["server"]
    api_url: Url
    """The API as the machine that runs Pulumi reaches it."""
    pod_api_url: Url | None = None
    """The API as a pod reaches it, if that differs."""
    ui_url: Url | None = None
    """Address of the UI in a browser; by default the API's address without `/api`."""
    auth_secret: SecretKey | None = None
    """Existing Secret with the basic-auth string, in both namespaces; otherwise `prefectAuthString` is used if it is
    set."""

    @property
    def browser_url(self) -> str:
        """Address of the UI in a browser."""
        return self.ui_url or self.api_url.removesuffix("/api")

    @property
    def pod_url(self) -> str:
        """The API as a pod reaches it."""
        return self.pod_api_url or self.api_url


class CloudPrefect(Model):
    """Prefect Cloud."""

    mode: Literal["cloud"]
    api_url: Url
    """API address of the workspace, which contains account and workspace."""
    ui_url: Url = "https://app.prefect.cloud"
    key_secret: SecretKey | None = None
    """Existing Secret with the API key, in both namespaces; otherwise `prefectApiKey` is used, and must be set."""

    @property
    def browser_url(self) -> str:
        """Address of the UI in a browser."""
        return self.ui_url

    @property
    def pod_url(self) -> str:
        """The API as a pod reaches it."""
        return self.api_url


Prefect = Annotated[EmbeddedPrefect | ServerPrefect | CloudPrefect, Field(discriminator="mode")]
