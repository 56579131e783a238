"""The NetworkPolicies of a stack, which depend on where the API server is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pulumi import Input, Output

from infra.components import network_policies
from infra.components.network_policies import NetworkPoliciesArgs
from infra.registration.preflight import Preflight
from infra.settings import EmbeddedPrefect, ExistingOperator, Network, Peer, Settings, Sqlite
from infra.specs.namespaces import Namespaces

_PORTS: Final = (443, 6443)
"""Of an API server whose address is not known."""

Specs = Mapping[str, Input[Any]]
"""Name of a policy -> its spec."""


def reads_api_server(network: Network) -> bool:
    """Return whether the preflight has to read the addresses of the API server."""
    return network.policies and network.api_server is None


def policies(settings: Settings, preflight: Preflight) -> Namespaces[Specs]:
    """Return the policies of both namespaces; none where the stack goes without."""
    network = settings.network
    if not network.policies:
        return Namespaces(platform={}, runs={})
    if network.api_server is not None:
        declared = network_policies.specs(_args(settings, network.api_server))
        return Namespaces(platform=declared.platform, runs=declared.runs)
    any_server = (Peer.anywhere(network.ip_family, *_PORTS),)
    names = network_policies.specs(_args(settings, any_server))
    live = preflight.api_server.apply(
        lambda peers: network_policies.specs(_args(settings, _peers(peers) or any_server))
    )
    return Namespaces(
        platform=_by_name(live.apply(lambda specs: specs.platform), names.platform),
        runs=_by_name(live.apply(lambda specs: specs.runs), names.runs),
    )


def _by_name(live: Output[dict[str, Any]], names: Iterable[str]) -> Specs:
    return {name: live[name] for name in names}


def _args(settings: Settings, api_server: tuple[Peer, ...]) -> NetworkPoliciesArgs:
    prefect, operator = settings.prefect, settings.dask.operator
    return NetworkPoliciesArgs(
        names=settings.namespaces,
        network=settings.network,
        api_server=api_server,
        embedded=isinstance(prefect, EmbeddedPrefect),
        database=isinstance(prefect, EmbeddedPrefect)
        and (prefect.redis is not None or not isinstance(prefect.database, Sqlite)),
        operator_namespace=operator.namespace if isinstance(operator, ExistingOperator) else None,
    )


def _peers(live: Sequence[Mapping[str, Any]] | None) -> tuple[Peer, ...]:
    # Pulumi stores numbers as doubles.
    return tuple(Peer(cidr=each["cidr"], ports=tuple(int(port) for port in each["ports"])) for each in live or ())
