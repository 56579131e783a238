"""The policies as a small network: which pod may open a connection to which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from ephemeral_dask.contract import ports
from infra import naming
from infra.components import network_policies as policies
from infra.components.network_policies import NetworkPolicies, NetworkPoliciesArgs, specs
from infra.settings import Network, Peer
from infra.specs.namespaces import Namespaces
from tests.mocks import Render

Policies = Namespaces[dict[str, Any]]

PODS: Mapping[str, Mapping[str, str]] = {
    "server": naming.labels(naming.SERVER),
    "worker": naming.labels(naming.WORKER, "dask"),
    "operator": naming.labels(naming.OPERATOR),
    "reaper": naming.labels(naming.REAPER),
    "flow": {**policies.FLOW_RUN, "prefect.io/flow-run-id": "x"},
    "scheduler": {**policies.SCHEDULER, "dask.org/cluster-name": "a"},
    "dask-worker": {**policies.DASK_WORKER, "dask.org/cluster-name": "a"},
    "stranger": {"app": "something-else"},
    "strange-run": {"app": "something-else"},
}


NAMES: Namespaces[str] = Namespaces(platform="flows", runs="flows-runs")
HOMES: Mapping[str, str] = {
    **dict.fromkeys(("server", "worker", "operator", "reaper", "stranger"), "flows"),
    **dict.fromkeys(("flow", "scheduler", "dask-worker", "strange-run"), "flows-runs"),
}
"""Pod -> its namespace."""


API_SERVER = Peer(cidr="10.0.0.1/32", ports=(6443,))


def args(
    embedded: bool = True, operator_namespace: str | None = None, database: bool = True, **network: Any
) -> NetworkPoliciesArgs:
    return NetworkPoliciesArgs(
        names=NAMES,
        network=Network(**network),
        api_server=(API_SERVER,),
        embedded=embedded,
        database=database,
        operator_namespace=operator_namespace,
    )


def selects(policy: Mapping[str, Any], pod: str) -> bool:
    match = policy["podSelector"].get("matchLabels", {})
    return match.items() <= PODS[pod].items()


def of(pod: str, policies: Policies) -> Mapping[str, Any]:
    """Return the policies of a pod's namespace."""
    return policies.platform if HOMES[pod] == NAMES.platform else policies.runs


def rules(policies: Policies, pod: str, direction: str) -> list[Any]:
    key = {"Ingress": "ingress", "Egress": "egress"}[direction]
    return [rule for policy in of(pod, policies).values() if selects(policy, pod) for rule in policy.get(key, [])]


def allows(rule: Mapping[str, Any], side: str, pod: str, other: str, port: int) -> bool:
    """Whether a rule of a pod's policy names another pod: without a namespace it means the policy's own."""
    matching = False
    for peer in rule[side]:
        if "podSelector" in peer:
            name = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
            match = peer["podSelector"]["matchLabels"]
            matching |= HOMES[other] == (name or HOMES[pod]) and match.items() <= PODS[other].items()
    return matching and port in [each["port"] for each in rule["ports"]]


def sides(policies_by_name: Policies, source: str, target: str, port: int) -> tuple[bool, bool]:
    """Whether the source may go out to the target, and whether the target lets it in."""
    out = any(allows(rule, "to", source, target, port) for rule in rules(policies_by_name, source, "Egress"))
    into = any(allows(rule, "from", target, source, port) for rule in rules(policies_by_name, target, "Ingress"))
    return out, into


ALLOWED = {
    ("worker", "server", naming.SERVER_PORT),
    ("reaper", "server", naming.SERVER_PORT),
    ("flow", "server", naming.SERVER_PORT),
    ("scheduler", "server", naming.SERVER_PORT),
    ("dask-worker", "server", naming.SERVER_PORT),
    ("flow", "scheduler", ports.SCHEDULER_COMM),
    ("dask-worker", "scheduler", ports.SCHEDULER_COMM),
    ("operator", "scheduler", ports.SCHEDULER_HTTP),
    ("scheduler", "dask-worker", ports.WORKER_COMM),
    ("scheduler", "dask-worker", ports.NANNY_COMM),
    ("dask-worker", "dask-worker", ports.WORKER_COMM),
    ("dask-worker", "dask-worker", ports.NANNY_COMM),
}
EVERY_PORT = {
    naming.SERVER_PORT,
    ports.SCHEDULER_COMM,
    ports.SCHEDULER_HTTP,
    ports.SCHEDULER_METRICS,
    ports.WORKER_COMM,
    ports.NANNY_COMM,
    ports.WORKER_HTTP,
    ports.OPERATOR_HTTP,
}


@pytest.mark.parametrize("opened", [all, any])
def test_exactly_the_connections_that_the_platform_needs_are_open_and_no_other_is_half_open(
    opened: Callable[[Iterable[bool]], bool],
) -> None:
    policies_by_name = specs(args())
    assert {
        (source, target, port)
        for source in PODS
        for target in PODS
        for port in EVERY_PORT
        if opened(sides(policies_by_name, source, target, port))
    } == ALLOWED


def test_every_pod_is_closed_in_both_directions_by_default() -> None:
    policies_by_name = specs(args())
    assert policies_by_name.platform["default-deny"] == policies_by_name.runs["default-deny"]
    assert policies_by_name.platform["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_prometheus_reaches_the_reaper_only_from_a_namespace_that_is_named() -> None:
    closed, opened = specs(args()), specs(args(metrics_clients=("monitoring",)))
    assert closed.platform["dask-reaper"]["policyTypes"] == ["Egress"]
    [rule] = opened.platform["dask-reaper"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert [port["port"] for port in rule["ports"]] == [ports.REAPER_HTTP]


def outside(policies_by_name: Policies, pod: str) -> set[tuple[str, int]]:
    return {
        (each["ipBlock"]["cidr"], port["port"])
        for rule in rules(policies_by_name, pod, "Egress")
        for each in rule["to"]
        if "ipBlock" in each
        for port in rule["ports"]
    }


@pytest.mark.parametrize("pod", ["worker", "flow", "operator", "reaper"])
def test_only_pods_that_use_the_kubernetes_api_may_reach_its_server(pod: str) -> None:
    policies_by_name = specs(args())
    assert ("10.0.0.1/32", 6443) in outside(policies_by_name, pod)
    for other in ("server", "scheduler", "dask-worker", "stranger", "strange-run"):
        assert ("10.0.0.1/32", 6443) not in outside(policies_by_name, other)


@pytest.mark.parametrize("pod", ["flow", "scheduler", "dask-worker"])
def test_flows_reach_their_data_and_the_platform_does_not(pod: str) -> None:
    policies_by_name = specs(args(data=(Peer(cidr="10.9.0.0/16", ports=(443,)),)))
    assert ("10.9.0.0/16", 443) in outside(policies_by_name, pod)
    for other in ("server", "worker", "operator", "reaper"):
        assert ("10.9.0.0/16", 443) not in outside(policies_by_name, other)


def test_without_a_setting_flows_reach_nothing_outside_but_the_api_server() -> None:
    policies_by_name = specs(args())
    assert outside(policies_by_name, "flow") == {("10.0.0.1/32", 6443)}
    assert outside(policies_by_name, "dask-worker") == set()


@pytest.mark.parametrize(("family", "anywhere"), [("IPv4", "0.0.0.0/0"), ("IPv6", "::/0")])
def test_anywhere_is_a_range_of_the_pods_family(family: str, anywhere: str) -> None:
    policies_by_name = specs(args(ip_family=family))
    assert outside(policies_by_name, "server") == {(anywhere, 5432), (anywhere, 6379)}
    elsewhere = specs(args(embedded=False, ip_family=family))
    assert outside(elsewhere, "flow") == {("10.0.0.1/32", 6443), (anywhere, 443), (anywhere, 4200)}


def test_a_server_without_a_database_on_the_network_reaches_none() -> None:
    policies_by_name = specs(args(database=False))
    assert outside(policies_by_name, "server") == set()
    assert policies_by_name.platform["prefect-server"]["policyTypes"] == ["Ingress"]
    assert "prefect-services" not in policies_by_name.platform


def test_an_external_prefect_is_reached_by_address_and_no_server_policy_is_left() -> None:
    policies_by_name = specs(args(embedded=False, prefect=(Peer(cidr="192.0.2.7/32", ports=(443,)),)))
    assert "prefect-server" not in policies_by_name.platform
    for pod in ("worker", "reaper", "flow", "scheduler", "dask-worker"):
        assert ("192.0.2.7/32", 443) in outside(policies_by_name, pod)
    for other in ("operator", "stranger"):
        assert ("192.0.2.7/32", 443) not in outside(policies_by_name, other)


def test_an_existing_operator_reaches_the_schedulers_from_its_own_namespace() -> None:
    policies_by_name = specs(args(operator_namespace="dask-operator"))
    http = [
        peer
        for rule in rules(policies_by_name, "scheduler", "Ingress")
        if ports.SCHEDULER_HTTP in [each["port"] for each in rule["ports"]]
        for peer in rule["from"]
    ]
    assert http == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dask-operator"}}}]


def test_metrics_are_closed_until_a_namespace_is_named() -> None:
    closed, opened = specs(args()), specs(args(metrics_clients=("monitoring",)))
    assert "ingress" not in closed.platform["prefect-worker"]
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    [rule] = opened.platform["prefect-worker"]["ingress"]
    assert rule["from"] == [monitoring]


def test_who_scrapes_a_scheduler_does_not_reach_the_port_that_retires_its_workers() -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    scheduler = specs(args(metrics_clients=("monitoring",))).runs["dask-scheduler"]
    assert [
        [each["port"] for each in rule["ports"]] for rule in scheduler["ingress"] if monitoring in rule["from"]
    ] == [[ports.SCHEDULER_METRICS]]


def test_no_rule_has_an_empty_peer_list_which_would_allow_every_address() -> None:
    for policies_by_name in (specs(args()), specs(args(embedded=False)), specs(args(operator_namespace="x"))):
        for policy in (*policies_by_name.platform.values(), *policies_by_name.runs.values()):
            for rule in policy.get("ingress", []):
                assert rule["from"]
            for rule in policy.get("egress", []):
                assert rule["to"]


def test_every_policy_becomes_an_object_of_the_namespace(render: Render) -> None:
    declared = specs(args()).runs
    recorder = render(lambda: NetworkPolicies("network", "flows-runs", declared))
    made = {each["metadata"]["name"]: each["metadata"]["namespace"] for each in recorder.of("v1:NetworkPolicy")}
    assert made == dict.fromkeys(declared, "flows-runs")
