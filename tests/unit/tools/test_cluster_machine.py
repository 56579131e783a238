"""Facts about this machine, as the kernel and its programs report them."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.cluster import machine
from tools.cluster.layout import NODE_IP, POD_CIDR, SERVICE_CIDR, Port
from tools.cluster.machine import Listener


@pytest.fixture
def sockets() -> Iterator[dict[str, tuple[str, int]]]:
    """Open one socket of each kind and yield their addresses."""
    opened: dict[str, socket.socket] = {
        "tcp": socket.create_server(("127.0.0.1", 0)),
        "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "connected udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "mapped": socket.socket(socket.AF_INET6),
    }
    opened["udp"].bind(("127.0.0.1", 0))
    opened["connected udp"].connect(opened["udp"].getsockname())
    opened["mapped"].bind(("::ffff:127.0.0.1", 0))
    opened["mapped"].listen()
    opened["client"] = socket.create_connection(opened["tcp"].getsockname())
    yield {name: one.getsockname()[:2] for name, one in opened.items()}
    for one in opened.values():
        one.close()


def test_listening_sockets_are_found_with_their_process_and_connections_are_not(
    sockets: dict[str, tuple[str, int]],
) -> None:
    listeners = machine.listeners()
    assert Listener(*sockets["tcp"], udp=False, pid=os.getpid()) in listeners
    assert Listener(*sockets["udp"], udp=True, pid=os.getpid()) in listeners
    own = {(one.port, one.udp) for one in listeners if one.pid == os.getpid()}
    assert (sockets["connected udp"][1], True) not in own
    assert (sockets["client"][1], False) not in own


def test_an_ipv4_address_of_an_ipv6_socket_is_an_ipv4_address(sockets: dict[str, tuple[str, int]]) -> None:
    assert Listener("127.0.0.1", sockets["mapped"][1], udp=False, pid=os.getpid()) in machine.listeners()


@pytest.mark.parametrize(
    ("listening", "address", "blocked"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.53", NODE_IP, False),
        ("192.0.2.2", NODE_IP, False),
    ],
)
def test_a_listener_blocks_the_same_port_on_the_same_address_and_protocol(
    listening: str, address: str, blocked: bool
) -> None:
    listener = Listener(listening, 53, udp=False, pid=1)
    assert listener.blocks(Port(53, "coredns", address)) is blocked
    assert not listener.blocks(Port(53, "coredns", address, udp=True))
    assert not listener.blocks(Port(54, "coredns", address))


def overlapping(addresses: list[str], routes: list[str]) -> list[tuple[str, str, str]]:
    shown = [
        {
            "ifname": f"if{number}",
            "addr_info": [{"family": "inet", "local": text.split("/")[0], "prefixlen": int(text.split("/")[1])}],
        }
        for number, text in enumerate(addresses)
    ]
    listed = [{"dst": text, "dev": "tun0"} for text in routes]
    return machine.overlapping((POD_CIDR, SERVICE_CIDR, f"{NODE_IP}/32"), json.dumps(shown), json.dumps(listed))


def test_networks_of_the_machine_that_overlap_the_clusters_are_reported() -> None:
    assert overlapping(["192.0.2.2/24"], ["default", "192.0.2.0/24"]) == []
    assert overlapping(["10.244.0.9/16"], []) == [
        (POD_CIDR, "10.244.0.9/16", "if0"),
        (f"{NODE_IP}/32", "10.244.0.9/16", "if0"),
    ]
    assert overlapping([], ["10.0.0.0/8"])[0] == (POD_CIDR, "10.0.0.0/8", "tun0")
    assert overlapping([], ["10.96.0.10"]) == [(SERVICE_CIDR, "10.96.0.10", "tun0")]


def test_the_default_route_of_a_vpn_is_not_an_overlap() -> None:
    assert overlapping([], ["0.0.0.0/1", "128.0.0.0/1"]) == []


def test_another_node_is_detected_by_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    own = (os.getpid(), psutil.Process().name())
    monkeypatch.setattr(machine, "OTHER_NODE_PROGRAMS", {own[1]})
    assert own in machine.node_programs()
    assert own not in machine.node_programs(excluding=[os.getpid()])


def test_memory_and_disk_are_in_bytes() -> None:
    assert 2**20 < machine.available_memory() < psutil.virtual_memory().total
    assert 0 < machine.free_disk(Path("/not/made/yet")) <= psutil.disk_usage("/").total


def test_a_kubelet_counts_as_a_rival_only_if_it_shares_this_machines_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Process:
        def __init__(self, pid: int, name: str) -> None:
            self.pid, self.info = pid, {"name": name}

    networks = {"self": "net:[1]", "10": "net:[1]", "20": "net:[2]", "30": None, "40": "net:[1]"}
    for pid, network in networks.items():
        (tmp_path / pid / "ns").mkdir(parents=True)
        if network:
            (tmp_path / pid / "ns" / "net").symlink_to(network)
    processes = [Process(10, "kubelet"), Process(20, "kubelet"), Process(30, "kube-proxy"), Process(40, "python")]
    monkeypatch.setattr("psutil.process_iter", lambda _: processes)
    monkeypatch.setattr("tools.cluster.machine.Identity.of", lambda pid: pid)
    assert machine.node_programs(proc=tmp_path) == [(10, "kubelet"), (30, "kube-proxy")]
    assert machine.node_programs(excluding=[10], proc=tmp_path) == [(30, "kube-proxy")]
