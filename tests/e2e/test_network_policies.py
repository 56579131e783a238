"""NetworkPolicies are enforced where the local cluster's network is Cilium.

The tests share one cluster, and any of them can run alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import postgresql
from tests.e2e.machine import Machine
from tests.e2e.stage import NAMESPACE, MachineState, Stage, pod, private_place, up
from tools.cluster import LocalCluster, Network, process, supervise
from tools.cluster import machine as host
from tools.cluster.cilium import HOST_LINKS
from tools.cluster.layout import API_PORT, API_SERVICE_IP, NODE_IP
from tools.cluster.wait import until

GIB = 1 << 30
SERVER = f"server.{NAMESPACE}.svc.cluster.local"
SERVE = "httpd -f -p 8080 -h /etc"
SLEEP = "sleep 3600"
REFUSED = 3
"""Seconds without an answer after which a connection counts as refused: a policy drops, it does not reject."""
SOON = 60
"""Seconds in which a policy, or its end, has arrived at all pods of a busy machine."""


PODS = {"server": SERVE, "admitted": SLEEP, "stranger": SLEEP}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "server", "namespace": NAMESPACE},
    "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


@pytest.fixture
def stage(machine: Machine) -> Stage:
    """Provide a cluster with Cilium, three pods and no policies."""
    stage: Stage = machine.provide("cilium", lambda: up(LocalCluster(private_place(), network=Network.CILIUM)))
    if stage.silent():
        restart(stage)
    stage.kubectl("delete", "-n", NAMESPACE, "networkpolicy", "--all")
    start_pods(stage)
    for name in ("stranger", "admitted"):
        assert gets_page(stage, name), "the cluster is not open without policies"
    return stage


def restart(stage: Stage) -> None:
    """Start the cluster again, without its pods: they end with it, and their phase remains `Running`."""
    stage.restart_with(stage.cluster.up())
    stage.kubectl("delete", "-n", NAMESPACE, "pod", "--all", "--wait")


def start_pods(stage: Stage) -> None:
    stage.apply(SERVICE, *(pod(name, script) for name, script in PODS.items()))
    for name in PODS:
        stage.wait_for(name, phase="Running")


@pytest.fixture
def database(stage: Stage) -> Iterator[postgresql.PostgreSQL]:
    with postgresql.running(stage.cluster.place) as server:
        yield server


def policy(name: str, app: str | None, **rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A policy for the pods of an app, or for all; a direction that is named is closed but for its rules."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app": app}} if app else {},
            "policyTypes": [direction.title() for direction in rules],
            **rules,
        },
    }


def node(*ports: int, protocol: str = "TCP") -> dict[str, Any]:
    """Return a rule for some ports of the node."""
    return {
        "to": [{"ipBlock": {"cidr": f"{NODE_IP}/32"}}],
        "ports": [{"port": port, "protocol": protocol} for port in ports],
    }


def answered(stage: Stage, name: str, command: str) -> bool:
    """Whether a command in a pod succeeds."""
    try:
        stage.kubectl("exec", "-n", NAMESPACE, name, "--", "sh", "-c", command)
    except AssertionError:
        return False
    return True


def page(stage: Stage, name: str, host: str = SERVER) -> bool:
    return answered(stage, name, f"timeout {REFUSED} wget -q -O - http://{host}/group")


def connects(stage: Stage, name: str, address: str, port: int) -> bool:
    return answered(stage, name, f"timeout 10 nc -w {REFUSED} {address} {port} < /dev/null")


def gets_page(stage: Stage, name: str) -> bool:
    """Whether a pod gets its answer soon: the end of a policy arrives pod by pod, and a busy machine answers late."""
    return until(lambda: page(stage, name), seconds=SOON)


def comes_through(stage: Stage, name: str, address: str, port: int) -> bool:
    """Whether a pod can connect soon."""
    return until(lambda: connects(stage, name, address, port), seconds=SOON)


def finds_server(stage: Stage, name: str) -> bool:
    """Whether a pod gets the address of the server soon."""
    return until(lambda: answered(stage, name, f"nslookup {SERVER}"), seconds=SOON)


def address(stage: Stage) -> str:
    return stage.kubectl("get", "-n", NAMESPACE, "service", "server", "-o", "jsonpath={.spec.clusterIP}")


def test_the_networks_processes_are_supervised_like_the_others(stage: Stage) -> None:
    assert stage.access.network is Network.CILIUM
    assert {one.name for one in stage.cluster.status()} >= {"cilium-agent", "cilium-operator"}
    assert not stage.silent()
    pids = stage.pids()
    assert stage.cluster.up() == stage.access
    assert stage.pids() == pids


def test_without_a_policy_every_pod_gets_its_answer_from_a_service_by_name(stage: Stage) -> None:
    assert gets_page(stage, "admitted")
    assert gets_page(stage, "stranger")
    assert comes_through(stage, "stranger", API_SERVICE_IP, 443)


def admit_one(stage: Stage) -> None:
    """Close the server but for one client."""
    client = {"podSelector": {"matchLabels": {"app": "admitted"}}}
    stage.apply(policy("server", "server", ingress=[{"from": [client], "ports": [{"port": 8080, "protocol": "TCP"}]}]))
    assert until(lambda: not page(stage, "stranger"), seconds=SOON), "the policy is not enforced"


def test_a_pod_that_no_policy_admits_times_out_and_an_admitted_one_gets_its_answer(stage: Stage) -> None:
    admit_one(stage)
    assert gets_page(stage, "admitted")
    assert finds_server(stage, "stranger"), "only the server is closed"


def test_a_pod_whose_ways_out_are_closed_reaches_only_what_is_opened_again(
    stage: Stage, database: postgresql.PostgreSQL
) -> None:
    admit_one(stage)
    assert comes_through(stage, "admitted", NODE_IP, database.port)
    assert comes_through(stage, "admitted", API_SERVICE_IP, 443)
    stage.apply(policy("closed", None, egress=[], ingress=[]))
    assert until(lambda: not connects(stage, "admitted", NODE_IP, database.port), seconds=SOON)
    assert until(lambda: not connects(stage, "stranger", NODE_IP, database.port), seconds=SOON)
    assert not page(stage, "admitted", address(stage))
    assert not answered(stage, "admitted", f"timeout {REFUSED} nslookup {SERVER}")

    server = {"to": [{"podSelector": {"matchLabels": {"app": "server"}}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
    stage.apply(policy("names", None, egress=[node(53, protocol="UDP")]))
    stage.apply(policy("admitted", "admitted", egress=[server, node(database.port)]))
    assert gets_page(stage, "admitted")
    assert comes_through(stage, "admitted", NODE_IP, database.port)
    # The same node, but not these ports; and names are for all, pages are not.
    assert not connects(stage, "admitted", NODE_IP, API_PORT.number)
    assert not connects(stage, "admitted", API_SERVICE_IP, 443)
    assert finds_server(stage, "stranger")
    assert not connects(stage, "stranger", NODE_IP, database.port)


def test_egress_to_the_api_server_is_allowed_by_the_address_and_port_of_its_endpoint(stage: Stage) -> None:
    """Not by those of its Service: a policy sees the final destination of a packet."""
    stage.apply(policy("closed", None, egress=[], ingress=[]))
    assert until(lambda: not connects(stage, "stranger", API_SERVICE_IP, 443), seconds=SOON)
    stage.apply(policy("api", "stranger", egress=[node(API_PORT.number)]))
    assert comes_through(stage, "stranger", API_SERVICE_IP, 443)


def test_the_control_plane_stays_below_its_memory_bound_with_the_network(stage: Stage) -> None:
    used = stage.cluster.control_plane_memory()
    print(f"control plane: {used / (1 << 20):.0f} MiB")
    assert 0.2 * GIB < used < 1.4 * GIB


def test_a_dead_cilium_agent_is_named_in_the_status(stage: Stage) -> None:
    agent = supervise.running(stage.cluster.place)["cilium-agent"]
    agent.signal(signal.SIGKILL)
    assert agent.wait(10)
    assert stage.silent() == ["cilium-agent"]


def test_a_killed_network_stops_neither_another_one_nor_its_own_return_with_its_policies(stage: Stage) -> None:
    admit_one(stage)
    place = stage.cluster.place
    for component in supervise.running(place).values():
        component.signal(signal.SIGKILL)
    assert until(lambda: not supervise.running(place), seconds=30)
    assert set(HOST_LINKS) <= set(host.links())
    stage.cluster = LocalCluster(place, network=Network.PTP)
    # The kernel closes the sockets of a killed process a moment after it has ended.
    assert until(lambda: not stage.cluster.preflight(), seconds=30), stage.cluster.preflight()
    stage.restart_with(stage.cluster.up())
    assert not set(HOST_LINKS) & set(host.links())
    assert "cilium-agent" not in stage.pids()
    stage.apply(pod("other", SLEEP))
    stage.wait_for("other", phase="Running")
    # The network of the last start is kept until another one is set.
    assert LocalCluster(place).network is Network.PTP

    stage.cluster = LocalCluster(place, network=Network.CILIUM)
    restart(stage)
    start_pods(stage)
    assert gets_page(stage, "admitted")
    assert not page(stage, "stranger", address(stage))


@pytest.mark.takes_down
def test_down_reverts_all_that_the_network_did_to_the_machine(stage: Stage, machine: Machine) -> None:
    running = MachineState.now()
    assert running.links >= stage.before.links | set(HOST_LINKS)
    assert running.rules != stage.before.rules
    stage.cluster.down()
    assert MachineState.now() == stage.before
    assert not process.marked(str(stage.cluster.place.root))
    machine.clear()
