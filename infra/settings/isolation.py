"""Isolation of the namespaces: network, quota, identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from infra.settings.metadata import AnnotationValues
from infra.settings.pod_extras import ExtendedResources
from infra.settings.types import Bytes, Cidr, Cpu, DnsLabel, Model, Port
from infra.specs.addresses import ADDRESSES, IpFamily


class Peer(Model):
    """Addresses outside the namespaces, and the TCP ports that are open there."""

    cidr: Cidr
    ports: tuple[Port, ...] = Field(min_length=1, strict=False)

    @classmethod
    def anywhere(cls, family: IpFamily, *ports: int) -> Peer:
        """Return all addresses of a family, with these ports."""
        return cls(cidr=ADDRESSES[family].anywhere, ports=ports)


def _anywhere(*ports: int) -> Any:
    """Return a default that depends on the family: all addresses, with these ports."""

    def peers(network: Mapping[str, Any]) -> tuple[Peer, ...]:
        # Without a valid family there is an error about that one already.
        return (Peer.anywhere(network.get("ip_family", "IPv4"), *ports),)

    return peers


class Network(Model):
    """Allowed connections. All others are refused in both directions, except those that the platform needs."""

    policies: bool = True
    """Whether NetworkPolicies are created. They have no effect on a network that does not enforce them."""
    ip_family: IpFamily = "IPv4"
    """Family of the addresses of pods; in a cluster with both, that of the Service `kubernetes`."""
    api_server: tuple[Peer, ...] | None = Field(default=None, strict=False)
    """Addresses of the Kubernetes API server itself, not of its Service: NetworkPolicies apply to those. When unset,
    each preview and update reads them from the cluster."""
    dns: tuple[Cidr, ...] = Field(default=(), strict=False)
    """DNS servers in addition to those of kube-system, such as 169.254.20.10/32 for a node-local cache."""
    database: tuple[Peer, ...] = Field(default_factory=_anywhere(5432, 6379), strict=False)
    """PostgreSQL and Redis of an embedded Prefect server. With SQLite nothing is opened."""
    prefect: tuple[Peer, ...] = Field(default_factory=_anywhere(443, 4200), strict=False)
    """The Prefect API, if it is not the stack's own."""
    data: tuple[Peer, ...] = Field(default=(), strict=False)
    """What flows and their Dask workers connect to: object stores, databases, web services."""
    prefect_clients: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Namespaces whose pods may connect to the embedded Prefect server, such as the ingress controller's."""
    metrics_clients: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Namespaces whose pods may scrape metrics of Dask and the reaper, and the health of worker and operator."""


class Quota(Model):
    """Limits for the sum of all pods of runs: flow pods, Dask schedulers and Dask workers."""

    cpu: Cpu
    """Cores that all pods together may request."""
    memory: Bytes
    """Memory that all pods together may request."""
    pods: int = Field(default=200, ge=10)
    resources: ExtendedResources = Field(default_factory=dict)
    """Extended resources that all pods together may request, such as `nvidia.com/gpu: 4`; unlimited when unset."""


class Identity(Model):
    """One ServiceAccount."""

    annotations: AnnotationValues = Field(default_factory=dict)
    """Such as those that map it to a cloud identity."""


class Identities(Model):
    """The ServiceAccounts of the stack."""

    server: Identity = Identity()
    worker: Identity = Identity()
    flow_run: Identity = Identity()
    dask: Identity = Identity()
    operator: Identity = Identity()
    reaper: Identity = Identity()
