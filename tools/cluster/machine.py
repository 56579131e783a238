"""Facts about this machine. Nothing here changes it."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import process
from tools.cluster.layout import Port
from tools.cluster.programs import run

OTHER_NODE_PROGRAMS = frozenset(
    {"kubelet", "kube-proxy", "k3s", "k3s-server", "k0s", "microk8s", "kubelite", "cilium-agent"}
)
"""Programs that use the chains KUBE-* or CILIUM_* and the service addresses of a node."""


@dataclass(frozen=True)
class Listener:
    """A socket that waits for others."""

    address: str
    port: int
    udp: bool
    inode: int

    def blocks(self, wanted: Port) -> bool:
        """Whether `wanted` cannot be had while this one is open."""
        if (self.port, self.udp) != (wanted.number, wanted.udp):
            return False
        everywhere = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
        return self.address in everywhere or wanted.address in everywhere or self.address == wanted.address


def parse_listeners(text: str, *, udp: bool) -> list[Listener]:
    """Read the listening sockets out of /proc/net/{tcp,tcp6,udp,udp6}."""
    state = "07" if udp else "0A"
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != state:
            continue
        address, port = fields[1].split(":")
        found.append(Listener(_address(address), int(port, 16), udp, int(fields[9])))
    return found


def _address(hexadecimal: str) -> str:
    # The kernel prints each group of four bytes as a number of its own byte order.
    groups = [bytes.fromhex(hexadecimal[i : i + 8])[::-1] for i in range(0, len(hexadecimal), 8)]
    address = ipaddress.ip_address(b"".join(groups))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def listeners() -> list[Listener]:
    """All listening sockets of this machine."""
    found: list[Listener] = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError):
            found += parse_listeners(Path(f"/proc/net/{name}").read_text(), udp=name.startswith("udp"))
    return found


def socket_owners(inodes: Iterable[int]) -> dict[int, int]:
    """Which process (pid) has which socket (inode); sockets of unreadable processes are left out."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for handle in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if (target := str(handle.readlink())) in wanted:
                        owners[wanted[target]] = int(entry.name)
    return owners


def overlapping(cidrs: Iterable[str], addresses: str, routes: str) -> list[tuple[str, str, str]]:
    """Networks of ours that the machine uses already, as (ours, theirs, interface).

    Args:
        cidrs: our networks.
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
    clashes: dict[str, tuple[str, str, str]] = {}
    for ours in cidrs:
        for text, interface in theirs:
            network = ipaddress.ip_network(text, strict=False)
            # Half of all addresses is how a VPN writes "default", and no place where it lives.
            if network.prefixlen > 1 and network.overlaps(ipaddress.ip_network(ours)):
                clashes.setdefault(ours, (ours, text, interface))
    return list(clashes.values())


def ip_json(*arguments: str) -> str:
    """Output of `ip -json -4 ...`."""
    return run("ip", "-json", "-4", *arguments).stdout


def links() -> list[str]:
    """Name the interfaces of this machine."""
    result = run("ip", "-json", "link", "show")
    return [link["ifname"] for link in json.loads(result.stdout or "[]") if "ifname" in link]


def node_programs(but: Iterable[int]) -> list[tuple[int, str]]:
    """Find running kubelets, kube-proxies and the like, except those processes (pids)."""
    ours = set(but)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in ours:
            with contextlib.suppress(OSError):
                name = (entry / "comm").read_text().strip()
                if name in OTHER_NODE_PROGRAMS and process.Identity.of(int(entry.name)):
                    found.append((int(entry.name), name))
    return found


def has_resolver() -> bool:
    """Whether this machine knows a name server."""
    with contextlib.suppress(OSError):
        return any(line.split()[:1] == ["nameserver"] for line in Path("/etc/resolv.conf").read_text().splitlines())
    return False


def available_memory() -> int:
    """Bytes that programs can still have, by the kernel's own estimate."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def file_system(folder: Path) -> str:
    """Type of the file system where a folder is or will be, by the mount with the longest matching path."""
    while not folder.exists():
        folder = folder.parent
    best: tuple[int, str] = (0, "")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split(" ")
        point = Path(fields[1])
        if point == folder or point in folder.parents:
            best = max(best, (len(point.parts), fields[2]), key=lambda pair: pair[0])
    return best[1]
