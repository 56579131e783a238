"""NetworkPolicies of both namespaces: default deny, and one policy per component."""

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
from infra.specs.namespaces import Namespaces

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
        names: of the namespaces.
        network: the stack's settings.
        api_server: addresses of the Kubernetes API server.
        embedded: whether the stack has its own Prefect server.
        database: whether that server has a database on the network.
        operator_namespace: where the Dask operator runs; the platform's namespace when unset.

    """

    names: Namespaces[str]
    network: Network
    api_server: tuple[Peer, ...]
    embedded: bool
    database: bool = False
    operator_namespace: str | None = None


class NetworkPolicies(ComponentResource):
    """Default deny in both directions, then one policy per component of a namespace.

    The scheduler's HTTP port is unauthenticated and can retire workers (https://github.com/dask/distributed/issues/6407),
    and its comm port executes what it receives: both are open only to the pods that need them. A policy cannot tell
    the pods of one run from those of another.
    """

    def __init__(
        self, name: str, namespace: Input[str], policies: Mapping[str, Any], opts: ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{PROJECT}:index:NetworkPolicies", name, {}, opts)
        for policy, spec in policies.items():
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{policy}",
                metadata=naming.metadata(policy, namespace),
                spec=spec,
                opts=ResourceOptions(parent=self),
            )
        self.register_outputs({})


def specs(args: NetworkPoliciesArgs) -> Namespaces[dict[str, Any]]:
    """Return policy name -> spec in the form of the Kubernetes API, for each namespace."""
    common = {
        "default-deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "dns": _policy({}, egress=[_dns(args.network.dns)]),
    }
    return Namespaces(platform={**common, **_platform(args)}, runs={**common, **_runs(args)})


def _platform(args: NetworkPoliciesArgs) -> dict[str, Any]:
    network = args.network
    prefect = [_to([_peer(SERVER)], naming.SERVER_PORT)] if args.embedded else _outside(network.prefect)
    api_server = _outside(args.api_server)
    metrics = [_from_namespace(each) for each in network.metrics_clients]
    result = {
        "prefect-worker": _policy(
            WORKER,
            ingress=_rules(metrics, prefect_worker.HEALTH_PORT),
            egress=[*prefect, *api_server],
        ),
        "dask-reaper": _policy(
            REAPER,
            ingress=_rules(metrics, ports.REAPER_HTTP),
            egress=[*prefect, *api_server],
        ),
    }
    if args.operator_namespace is None:
        schedulers = _to([_peer(SCHEDULER, args.names.runs)], ports.SCHEDULER_HTTP)
        result["dask-operator"] = _policy(
            OPERATOR,
            ingress=_rules(metrics, ports.OPERATOR_HTTP),
            egress=[*api_server, schedulers],
        )
    if args.embedded:
        clients = [_peer(WORKER), _peer(REAPER), *(_peer(each, args.names.runs) for each in (FLOW_RUN, DASK))]
        outside = [_from_namespace(each) for each in network.prefect_clients]
        database = _outside(network.database) if args.database else []
        result["prefect-server"] = _policy(
            SERVER,
            ingress=[_rule([*clients, *outside], naming.SERVER_PORT)],
            egress=database,
        )
        # With SQLite there is one process.
        if args.database:
            result["prefect-services"] = _policy(SERVICES, egress=database)
    return result


def _runs(args: NetworkPoliciesArgs) -> dict[str, Any]:
    network, platform = args.network, args.names.platform
    prefect = [_to([_peer(SERVER, platform)], naming.SERVER_PORT)] if args.embedded else _outside(network.prefect)
    data = _outside(network.data)
    comm = (ports.WORKER_COMM, ports.NANNY_COMM)
    scheduler, workers = _to([_peer(SCHEDULER)], ports.SCHEDULER_COMM), _to([_peer(DASK_WORKER)], *comm)
    metrics = [_from_namespace(each) for each in network.metrics_clients]
    operator = _peer(OPERATOR, platform)
    if args.operator_namespace is not None:
        operator = _from_namespace(args.operator_namespace)
    return {
        "flow-run": _policy(
            FLOW_RUN,
            egress=[*prefect, *_outside(args.api_server), scheduler, *data],
        ),
        "dask-scheduler": _policy(
            SCHEDULER,
            ingress=[
                _rule([_peer(FLOW_RUN), _peer(DASK_WORKER)], ports.SCHEDULER_COMM),
                _rule([operator], ports.SCHEDULER_HTTP),
                *_rules(metrics, ports.SCHEDULER_METRICS),
            ],
            egress=[*prefect, workers, *data],
        ),
        "dask-worker": _policy(
            DASK_WORKER,
            ingress=[
                _rule([_peer(SCHEDULER), _peer(DASK_WORKER)], *comm),
                *_rules(metrics, ports.WORKER_HTTP),
            ],
            egress=[*prefect, scheduler, workers, *data],
        ),
    }


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


def _peer(select: Selector, namespace: str | None = None) -> dict[str, Any]:
    """Return the pods with these labels, in the policy's own namespace or in another one."""
    pods = {"podSelector": {"matchLabels": dict(select)}}
    return pods if namespace is None else {**_from_namespace(namespace), **pods}


def _from_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _rule(peers: Sequence[Mapping[str, Any]], *numbers: int) -> dict[str, Any]:
    return {"from": list(peers), "ports": _tcp(numbers)}


def _rules(peers: Sequence[Mapping[str, Any]], *numbers: int) -> list[dict[str, Any]]:
    """Return a rule for the peers, or no rule without peers: an empty `from` allows every address."""
    return [_rule(peers, *numbers)] if peers else []


def _to(peers: Sequence[Mapping[str, Any]], *numbers: int) -> dict[str, Any]:
    return {"to": list(peers), "ports": _tcp(numbers)}


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
