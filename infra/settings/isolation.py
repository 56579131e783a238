"""What the namespace keeps in and out: network, quota, identities."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from infra.settings.types import Bytes, Cidr, Cpu, DnsLabel, Model, Port

ANYWHERE: Cidr = "0.0.0.0/0"


class Peer(Model):
    """Addresses outside the namespace, and the TCP ports that may be reached there."""

    cidr: Cidr
    ports: tuple[Port, ...] = Field(min_length=1, strict=False)


class Network(Model):
    """Who may speak to whom. Everything that is not named here or needed by the platform is refused, both ways."""

    policies: bool = True
    """Whether NetworkPolicies are made; a network that does not enforce them lets everything pass anyway."""
    api_server: tuple[Peer, ...] = Field(default=(Peer(cidr=ANYWHERE, ports=(443, 6443)),), strict=False)
    """The Kubernetes API server's real addresses, not its Service's: policies see those."""
    dns: tuple[Cidr, ...] = Field(default=(), strict=False)
    """DNS servers beside those of kube-system, such as a node-local cache's 169.254.20.10/32."""
    database: tuple[Peer, ...] = Field(default=(Peer(cidr=ANYWHERE, ports=(5432, 6379)),), strict=False)
    """PostgreSQL and Redis of an embedded Prefect server that uses them."""
    prefect: tuple[Peer, ...] = Field(default=(Peer(cidr=ANYWHERE, ports=(443, 4200)),), strict=False)
    """The Prefect API, where it is not the stack's own."""
    data: tuple[Peer, ...] = Field(default=(), strict=False)
    """What flows and their Dask workers work on: object stores, databases, web services."""
    prefect_clients: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Namespaces whose pods may reach the embedded Prefect server: the ingress controller's, other teams'."""
    metrics_clients: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Namespaces whose pods may scrape metrics of Dask, worker and operator."""


class Quota(Model):
    """What the namespace may take together, platform included."""

    cpu: Cpu
    """Cores that all pods may request."""
    memory: Bytes
    """Memory that all pods may request, and may be limited to."""
    pods: int = Field(default=200, ge=10)


class Identity(Model):
    """One ServiceAccount."""

    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Such as those by which a cloud gives it an identity of its own."""


class Identities(Model):
    """The ServiceAccounts of the stack."""

    server: Identity = Identity()
    worker: Identity = Identity()
    flow_run: Identity = Identity()
    dask: Identity = Identity()
    operator: Identity = Identity()
    reaper: Identity = Identity()
