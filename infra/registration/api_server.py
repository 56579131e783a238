"""Where a cluster's API server is reached, for the NetworkPolicies of the pods that call it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.registration.errors import RegistrationError
from infra.registration.kubernetes import call, run

Peer = Mapping[str, Any]
"""`cidr` and `ports`, as in `network.apiServer`."""

_NAMESPACE: Final = "default"
_SERVICE: Final = "kubernetes"
_SLICES: Final = {"labelSelector": f"kubernetes.io/service-name={_SERVICE}"}

_UNKNOWN: Final = (
    "The addresses of the API server could not be read: {why}. {consequence} Give this user the right to get Service"
    " 'kubernetes' and to list endpointslices (discovery.k8s.io) in namespace 'default', or set network.apiServer."
)
_ANY: Final = "NetworkPolicies let worker, operator, reaper and flow pods connect to any address on 443 and 6443."
_LAST: Final = "NetworkPolicies keep the addresses of the last update."


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """What a look at the cluster has shown.

    Attributes:
        peers: the addresses, sorted; empty if they are not known.
        warnings: a sentence if they could not be read.

    """

    peers: tuple[Peer, ...] = ()
    warnings: tuple[str, ...] = ()


def look_up(context: str | None, *, last: Iterable[Peer]) -> ApiServer:
    """Read the addresses; if that is not possible, keep those of the last update.

    Args:
        context: kubeconfig context; the current one if None.
        last: what the last update has read.

    """

    async def work(api: Any) -> tuple[Any, Any]:
        place = {"namespace": _NAMESPACE}
        slices = await call(api, "GET", version="discovery.k8s.io/v1", url="endpointslices", params=_SLICES, **place)
        return slices, await call(api, "GET", version="v1", url=f"services/{_SERVICE}", **place)

    try:
        slices, service = run("Could not read the addresses of the API server", context, work)
        peers, why = addresses((slices or {}).get("items", ()), service), "its Service has no endpoint"
    except RegistrationError as error:
        peers, why = (), str(error).rstrip(".")
    if peers:
        return ApiServer(peers=peers)
    kept = tuple(last)
    return ApiServer(peers=kept, warnings=(_UNKNOWN.format(why=why, consequence=_LAST if kept else _ANY),))


def addresses(slices: Iterable[Mapping[str, Any]], service: Mapping[str, Any] | None) -> tuple[Peer, ...]:
    """Return the addresses of the endpoints, and that of the Service; none without an endpoint.

    Most networks compare a policy with the endpoint that a packet ends at, and Kubernetes leaves open whether a network
    does so before or after it has replaced the Service's address.

    Args:
        slices: the EndpointSlices of the Service.
        service: the Service.

    """
    ports: dict[str, set[int]] = {}
    for address, port in _endpoints(slices):
        ports.setdefault(_cidr(address), set()).add(port)
    if not ports:
        return ()
    spec = (service or {}).get("spec", {})
    for address in spec.get("clusterIPs") or ():
        ports.setdefault(_cidr(address), set()).update(each["port"] for each in spec.get("ports", ()))
    return tuple({"cidr": cidr, "ports": sorted(numbers)} for cidr, numbers in sorted(ports.items()))


def _endpoints(slices: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    # Also those that are not ready: an API server that restarts comes back at its address.
    for each in slices:
        if each.get("addressType") == "FQDN":
            continue
        for endpoint in each.get("endpoints") or ():
            for address in endpoint["addresses"]:
                for port in each.get("ports") or ():
                    yield address, port["port"]


def _cidr(address: str) -> str:
    return str(ipaddress.ip_network(address))
