"""NetworkPolicies of the namespace: default deny, and one policy per component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, ResourceOptions

from ephemeral_dask.contract import labels, ports
from infra import naming
from infra.components import prefect_worker
from infra.naming import PROJECT
from infra.settings import Network, Peer

Selector = Mapping[str, str]

SERVER: Final = naming.selector(naming.SERVER)
SERVICES: Final = naming.selector(naming.SERVICES)
WORKER: Final = naming.selector(naming.WORKER)
OPERATOR: Final = naming.selector(naming.OPERATOR)
REAPER: Final = naming.selector(naming.REAPER)
FLOW_RUN: Final = {labels.COMPONENT: naming.FLOW_RUN}
DASK: Final = {labels.COMPONENT: naming.DASK}
SCHEDULER: Final = {**DASK, "dask.org/component": "scheduler"}
DASK_WORKER: Final = {**DASK, "dask.org/component": "worker"}

_DNS: Final = 53


@dataclass(frozen=True, kw_only=True)
class NetworkPoliciesArgs:
    """The policies.

    Attributes:
        namespace: of the policies.
        network: the stack's settings.
        embedded: whether the stack has its own Prefect server.
        operator_namespace: where the Dask operator runs; the stack's namespace when unset.

    """

    namespace: Input[str]
    network: Network
    embedded: bool
    operator_namespace: str | None = None


class NetworkPolicies(ComponentResource):
    """Default deny in both directions, then one policy per component.

    The scheduler's HTTP port is unauthenticated and can retire workers (https://github.com/dask/distributed/issues/6407),
    and its comm port executes what it receives: both are open only to the pods that need them. A policy cannot tell
    the pods of one run from those of another.
    """

    def __init__(self, name: str, args: NetworkPoliciesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:NetworkPolicies", name, {}, opts)
        for policy, spec in specs(args).items():
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{policy}",
                metadata=naming.metadata(policy, args.namespace),
                spec=spec,
                opts=ResourceOptions(parent=self),
            )
        self.register_outputs({})


def specs(args: NetworkPoliciesArgs) -> dict[str, Any]:
    """Return policy name -> spec in the form of the Kubernetes API."""
    network = args.network
    prefect = [_to(SERVER, naming.SERVER_PORT)] if args.embedded else _outside(network.prefect)
    api_server = _outside(network.api_server)
    data = _outside(network.data)
    comm = (ports.WORKER_COMM, ports.NANNY_COMM)
    metrics = [_from_namespace(each) for each in network.metrics_clients]
    operator = _peer(OPERATOR)
    if args.operator_namespace is not None:
        operator = _from_namespace(args.operator_namespace)
    result = {
        "default-deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "dns": _policy({}, egress=[_dns(network.dns)]),
        "prefect-worker": _policy(
            WORKER,
            ingress=_rules(metrics, prefect_worker.HEALTH_PORT),
            egress=[*prefect, *api_server],
        ),
        "flow-run": _policy(
            FLOW_RUN,
            egress=[*prefect, *api_server, _to(SCHEDULER, ports.SCHEDULER_COMM), *data],
        ),
        "dask-scheduler": _policy(
            SCHEDULER,
            ingress=[
                _rule([_peer(FLOW_RUN), _peer(DASK_WORKER)], ports.SCHEDULER_COMM),
                _rule([operator, *metrics], ports.SCHEDULER_HTTP),
            ],
            egress=[*prefect, _to(DASK_WORKER, *comm), *data],
        ),
        "dask-worker": _policy(
            DASK_WORKER,
            ingress=[
                _rule([_peer(SCHEDULER), _peer(DASK_WORKER)], *comm),
                *_rules(metrics, ports.WORKER_HTTP),
            ],
            egress=[
                *prefect,
                _to(SCHEDULER, ports.SCHEDULER_COMM),
                _to(DASK_WORKER, *comm),
                *data,
            ],
        ),
        "dask-reaper": _policy(REAPER, egress=[*prefect, *api_server]),
    }
    if args.operator_namespace is None:
        result["dask-operator"] = _policy(
            OPERATOR,
            ingress=_rules(metrics, ports.OPERATOR_HTTP),
            egress=[*api_server, _to(SCHEDULER, ports.SCHEDULER_HTTP)],
        )
    if args.embedded:
        clients = [_peer(each) for each in (WORKER, REAPER, FLOW_RUN, DASK)]
        outside = [_from_namespace(each) for each in network.prefect_clients]
        result["prefect-server"] = _policy(
            SERVER,
            ingress=[_rule([*clients, *outside], naming.SERVER_PORT)],
            egress=_outside(network.database),
        )
        result["prefect-services"] = _policy(SERVICES, egress=_outside(network.database))
    return result


def _policy(
    select: Selector, *, ingress: Sequence[Mapping[str, Any]] = (), egress: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    types = [name for name, rules in (("Ingress", ingress), ("Egress", egress)) if rules]
    spec: dict[str, Any] = {"podSelector": {"matchLabels": dict(select)} if select else {}, "policyTypes": types}
    if ingress:
        spec["ingress"] = list(ingress)
    if egress:
        spec["egress"] = list(egress)
    return spec


def _peer(select: Selector) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": dict(select)}}


def _from_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _rule(peers: Sequence[Mapping[str, Any]], *numbers: int) -> dict[str, Any]:
    return {"from": list(peers), "ports": _tcp(numbers)}


def _rules(peers: Sequence[Mapping[str, Any]], *numbers: int) -> list[dict[str, Any]]:
    """Return a rule for the peers, or no rule without peers: an empty `from` allows every address."""
    return [_rule(peers, *numbers)] if peers else []


def _to(select: Selector, *numbers: int) -> dict[str, Any]:
    return {"to": [_peer(select)], "ports": _tcp(numbers)}


def _outside(peers: Iterable[Peer]) -> list[dict[str, Any]]:
    return [{"to": [{"ipBlock": {"cidr": peer.cidr}}], "ports": _tcp(peer.ports)} for peer in peers]


def _dns(further: Sequence[str]) -> dict[str, Any]:
    cluster = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    dns_ports = [{"protocol": protocol, "port": _DNS} for protocol in ("UDP", "TCP")]
    return {"to": [cluster, *({"ipBlock": {"cidr": each}} for each in further)], "ports": dns_ports}


def _tcp(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in numbers]
