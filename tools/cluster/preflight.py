"""Everything that would stop a cluster from coming up, found before anything is changed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tools.cluster import cgroups, cilium, cni, imprint, machine, packages, process
from tools.cluster.layout import NODE_IP, POD_CIDR, PORTS, SERVICE_CIDR, Layout, Port
from tools.cluster.network import Network
from tools.cluster.programs import which
from tools.errors import Problem

GIB = 1 << 30
MEMORY = 4 * GIB
"""Free memory to begin with: the control plane takes about 1 GiB, the rest is for pods and image builds."""
DISK_STATE = 8 * GIB
"""Free disk for images, snapshots and volumes of one working set."""
DISK_CACHE = 2 * GIB
"""Free disk for making the base image: a Debian tree and its archive."""
LONGEST_SOCKET = 100
"""Characters of a socket's path; the kernel's limit is 107, and containerd appends to it."""


def port_problem(port: Port, holder: str) -> Problem:
    """Say that a port is taken, and by whom."""
    kind = "UDP port" if port.udp else "Port"
    return Problem(
        f"{kind} {port.number} is needed by the local cluster's {port.owner} and is taken by {holder}",
        remedy="End that program, or wait for it to end, and try again",
    )


def ports_taken(
    wanted: Iterable[Port],
    open_sockets: Iterable[machine.Listener],
    owner: Callable[[machine.Listener], tuple[str, bool]],
) -> list[Problem]:
    """One problem for each port that somebody else has.

    Args:
        wanted: our ports.
        open_sockets: all listening sockets.
        owner: says who has a socket, and whether that is a process of this cluster.

    """
    sockets = list(open_sockets)
    problems = []
    for port in wanted:
        for socket in sockets:
            if socket.blocks(port):
                holder, ours = owner(socket)
                if not ours:
                    problems.append(port_problem(port, holder))
                    break
    return problems


def _system() -> Iterator[Problem]:
    if os.geteuid() != 0:
        yield Problem(
            "The local cluster runs containers and needs root", remedy="Run it as root, for example with sudo"
        )
    if not {"cgroup", "cgroup2"} & {line.split()[-1] for line in _lines("/proc/filesystems")}:
        yield Problem(
            "This kernel has no control groups, so it cannot run pods",
            remedy="Use another machine or a virtual machine",
        )
        return
    found = cgroups.in_use(cgroups.machine())
    unified = next((place for place, controllers in found.items() if controllers == "*"), None)
    offered = " ".join(_lines(f"{unified}/cgroup.controllers")) if unified else ""
    if lacking := cgroups.missing_controllers(found, offered):
        yield Problem(
            f"Control groups without {', '.join(lacking)} are mounted on this machine, and kubelet needs those",
            remedy="Use a machine that offers them; inside a container, run that one with its host's control groups",
        )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _packages(network: Network) -> Iterator[Problem]:
    lacking = packages.missing(network)
    if lacking and which("apt-get") is None:
        yield Problem(
            f"The packages {', '.join(lacking)} are missing, and this machine has no apt-get to install them with",
            remedy="Install their programs by hand, or use Debian or Ubuntu",
        )


def _room(place: Layout) -> Iterator[Problem]:
    needs = [(place.root, DISK_STATE, "EPHEMERAL_DASK_STATE")]
    if not list(place.images.glob("debian-python-*[0-9a-f]")):
        needs.append((place.images, DISK_CACHE, "EPHEMERAL_DASK_CACHE"))
    for folder, needed, variable in needs:
        if (free := machine.free_disk(folder)) < needed:
            yield Problem(
                f"{folder} has {free / GIB:.1f} GiB of free disk, and the local cluster needs {needed / GIB:.0f} GiB",
                remedy=f"Make room, or choose another folder with {variable}",
            )
    if (free := machine.available_memory()) < MEMORY:
        yield Problem(
            f"This machine has {free / GIB:.1f} GiB of memory left, and the local cluster needs {MEMORY / GIB:.0f} GiB",
            remedy="End other programs, or use a larger machine",
        )
    if machine.file_system(place.root) == "overlay":
        yield Problem(
            f"{place.root} is on an overlay file system, where containerd cannot put another one",
            remedy="Choose a folder on a disk or a volume with EPHEMERAL_DASK_STATE",
        )
    if len(str(place.containerd_socket)) > LONGEST_SOCKET:
        yield Problem(
            f"{place.root} is too long for the sockets in it",
            remedy="Choose a folder with a shorter path with EPHEMERAL_DASK_STATE",
        )


def _others(place: Layout, ours: set[int]) -> Iterator[Problem]:
    """Other clusters on this machine: two nodes on one machine fight over the same rules and addresses."""
    theirs = {root for root in process.marked().values() if root != str(place.root)}
    for root in sorted(theirs):
        yield Problem(
            f"Another local cluster of this project runs from {root}",
            remedy=f"Take it down first: EPHEMERAL_DASK_STATE={Path(root).parent} python -m tools.cluster down",
        )
    for pid, name in [] if theirs else machine.node_programs(ours):
        yield Problem(
            f"A {name} that is not ours runs here (process {pid}), and two nodes would fight over one network",
            remedy="Stop that cluster first",
        )


def _ports(ours: set[int], network: Network) -> list[Problem]:
    sockets = machine.listeners()
    pids = machine.socket_owners(socket.inode for socket in sockets)

    def owner(socket: machine.Listener) -> tuple[str, bool]:
        pid = pids.get(socket.inode)
        if pid is None:
            return "a program that cannot be seen from here", False
        words = process.command_line(pid)
        return f"process {pid} ({Path(words[0]).name if words else 'unknown'})", pid in ours

    wanted = (*PORTS, *(cilium.PORTS if network is Network.CILIUM else ()))
    return ports_taken(wanted, sockets, owner)


def _networks(place: Layout) -> Iterator[Problem]:
    if which("ip") is None:
        return
    leftovers = {name for one in cni.of_network(cni.noted(), place.tag) for name in cni.outer_interfaces(one)}
    leftovers.update(imprint.links_of_cilium(place.imprint))
    networks = (POD_CIDR, SERVICE_CIDR, f"{NODE_IP}/32")
    clashes = machine.overlapping(
        networks, machine.ip_json("address"), machine.ip_json("route", "show", "table", "all")
    )
    for ours, theirs, interface in clashes:
        if interface in leftovers or (interface == "lo" and theirs in (NODE_IP, f"{NODE_IP}/32")):
            continue
        yield Problem(
            f"The local cluster's network {ours} overlaps {theirs}, which this machine reaches through {interface}",
            remedy="Disconnect that network (often a VPN) while the cluster runs",
        )


def problems(place: Layout, ours: Iterable[int], network: Network = Network.PTP) -> list[Problem]:
    """All that stands in the way; changes nothing.

    Args:
        place: the cluster.
        ours: pids of its running processes, whose ports and memory are no obstacle.
        network: what is to connect its pods.

    """
    if platform.system() != "Linux":
        return [
            Problem(
                "The local cluster runs on Linux only",
                remedy="Use a Linux machine, or any other Kubernetes cluster",
            )
        ]
    pids = set(ours)
    found = [*_system(), *_packages(network)]
    if network is Network.CILIUM:
        found += cilium.problems(ours=bool(imprint.links_of_cilium(place.imprint)))
    if os.geteuid() == 0:
        others = list(_others(place, pids))
        # Another cluster explains every port that is taken and every network that overlaps.
        found += others or [*_ports(pids, network), *_networks(place)]
    if not pids:
        found += _room(place)
    return found
