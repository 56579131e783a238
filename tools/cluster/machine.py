"""Facts about this machine. Nothing here changes it."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.cluster import mounts
from tools.cluster.layout import Port
from tools.cluster.process import Identity
from tools.cluster.programs import run
from tools.paths import nearest_existing

OTHER_NODE_PROGRAMS = frozenset(
    {"kubelet", "kube-proxy", "k3s", "k3s-server", "k0s", "microk8s", "kubelite", "cilium-agent"}
)
"""Programs that use the chains KUBE-* or CILIUM_* and the service addresses of a node."""


@dataclass(frozen=True)
class Listener:
    """A socket that accepts connections, or datagrams from any sender.

    Attributes:
        address: the local address.
        port: the local port.
        udp: whether the port is a UDP port.
        pid: a process that holds the socket; None where this user may not see it.

    """

    address: str
    port: int
    udp: bool
    pid: int | None

    def blocks(self, port: Port) -> bool:
        """Return whether `port` cannot be opened while this socket is open."""
        if (self.port, self.udp) != (port.number, port.udp):
            return False
        any_address = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
        return self.address in any_address or port.address in any_address or self.address == port.address


def listeners() -> list[Listener]:
    """Return all listening sockets of this machine."""
    return [
        Listener(_address(one.laddr.ip), one.laddr.port, udp=one.type == socket.SOCK_DGRAM, pid=one.pid)
        for one in psutil.net_connections("inet")
        if one.laddr and (one.status == psutil.CONN_LISTEN or (one.type == socket.SOCK_DGRAM and not one.raddr))
    ]


def _address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def overlapping(cidrs: Iterable[str], addresses: str, routes: str) -> list[tuple[str, str, str]]:
    """Return the cluster's networks that the machine already uses, as (the cluster's, the machine's, interface).

    Args:
        cidrs: the cluster's networks.
        addresses: output of `ip -json -4 address`.
        routes: output of `ip -json -4 route show table all`.

    """
    theirs: list[tuple[str, str]] = [
        (f"{info['local']}/{info['prefixlen']}", link["ifname"])
        for link in json.loads(addresses or "[]")
        for info in link.get("addr_info", ())
        if info.get("family") == "inet"
    ]
    theirs += [
        (route["dst"], route.get("dev", "a route"))
        for route in json.loads(routes or "[]")
        if route.get("dst") not in (None, "default") and route.get("type") not in ("broadcast", "multicast")
    ]
    overlaps: dict[str, tuple[str, str, str]] = {}
    for ours in cidrs:
        for text, interface in theirs:
            network = ipaddress.ip_network(text, strict=False)
            # A VPN writes its default route as two halves of all addresses; neither is a network that it serves.
            if network.prefixlen > 1 and network.overlaps(ipaddress.ip_network(ours)):
                overlaps.setdefault(ours, (ours, text, interface))
    return list(overlaps.values())


def ip_json(*arguments: str) -> str:
    """Return the output of `ip -json -4 ...`."""
    return run("ip", "-json", "-4", *arguments).stdout


def links() -> list[str]:
    """Return the names of this machine's network interfaces."""
    result = run("ip", "-json", "link", "show")
    return [link["ifname"] for link in json.loads(result.stdout or "[]") if "ifname" in link]


def node_programs(*, excluding: Iterable[int] = (), proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Return the kubelets, kube-proxies and the like that share this machine's network, as (pid, program).

    Those of a node in a container, such as kind's, have a network of their own with rules and addresses of their own.

    Args:
        excluding: pids that do not count.
        proc: where the kernel shows the network of each process.

    """
    excluded = set(excluding)
    return [
        (process.pid, process.info["name"])
        for process in psutil.process_iter(["name"])
        if process.info["name"] in OTHER_NODE_PROGRAMS
        and process.pid not in excluded
        and Identity.of(process.pid)
        and not _has_other_network(process.pid, proc)
    ]


def _has_other_network(pid: int, proc: Path) -> bool:
    try:
        return (proc / str(pid) / "ns" / "net").readlink() != (proc / "self" / "ns" / "net").readlink()
    except OSError:
        return False  # it has ended, or this user may not see it: then it counts


def has_resolver() -> bool:
    """Return whether this machine has a name server."""
    with contextlib.suppress(OSError):
        return any(line.split()[:1] == ["nameserver"] for line in Path("/etc/resolv.conf").read_text().splitlines())
    return False


def available_memory() -> int:
    """Return the bytes of memory that programs can still get, as the kernel estimates them."""
    return int(psutil.virtual_memory().available)


def free_disk(folder: Path) -> int:
    """Return the free bytes of the file system that a folder is on or will be on."""
    return shutil.disk_usage(nearest_existing(folder)).free


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on or will be on."""
    existing = nearest_existing(folder)
    containing = [mount for mount in mounts.current() if mount.point in (existing, *existing.parents)]
    # Of two at the same point, the one that was mounted last is the visible one.
    return max(reversed(containing), key=lambda mount: len(mount.point.parts)).type if containing else ""
