"""The cluster's rules for IPv6 between two network namespaces, which stand for this machine and another one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.cluster import firewall
from tools.cluster.layout import API_PORT
from tools.cluster.wait import until

OURS, OTHER = (f"ephemeral-dask-{os.getpid()}-{side}" for side in ("a", "b"))
ADDRESS = "fd00:64::1"
LISTEN = f"""
import socket
server = socket.create_server(("::", {API_PORT.number}), family=socket.AF_INET6)
print("listens", flush=True)
while True:
    server.accept()[0].close()
"""
CONNECT = f"""
import socket, sys
try:
    socket.create_connection((sys.argv[1], {API_PORT.number}), timeout=2)
except OSError:
    sys.exit(1)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def namespaces() -> Iterator[None]:
    try:
        for name in (OURS, OTHER):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", OURS, "link", "add", "link0", "type", "veth", "peer", "name", "link1", "netns", OTHER)
        for name, link, address in ((OURS, "link0", ADDRESS), (OTHER, "link1", "fd00:64::2")):
            ip("-n", name, "address", "add", f"{address}/64", "dev", link, "nodad")
            ip("-n", name, "link", "set", link, "up")
        yield
    finally:
        for name in (OURS, OTHER):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextmanager
def listening() -> Iterator[None]:
    command = ["ip", "netns", "exec", OURS, "python3", "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        try:
            yield
        finally:
            server.terminate()


def reaches(source: str, address: str) -> bool:
    command = ["ip", "netns", "exec", source, "python3", "-c", CONNECT, address]
    return subprocess.run(command, check=False).returncode == 0


@pytest.mark.usefixtures("namespaces")
def test_only_this_machine_reaches_the_api_server_over_ipv6() -> None:
    with listening():
        # Both ends of the link may need a moment to be up.
        assert until(lambda: reaches(OTHER, ADDRESS), seconds=30, interval=0.5)
        rules = firewall.own_ipv6_rules("EPHEMERAL-DASK-TEST")
        command = ["ip", "netns", "exec", OURS, "ip6tables-restore", "--noflush", "--wait"]
        subprocess.run(command, input=rules, text=True, check=True)
        assert not reaches(OTHER, ADDRESS)
        assert reaches(OURS, ADDRESS)
        assert reaches(OURS, "::1")
