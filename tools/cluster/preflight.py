"""Checks for everything that prevents a cluster from starting, made before anything is changed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tools.cluster import cgroups, cilium, cni, host_state, machine, packages, process
from tools.cluster.layout import NODE_IP, POD_CIDR, PORTS, SERVICE_CIDR, TAG, Layout, Port
from tools.cluster.network import Network
from tools.cluster.programs import which
from tools.errors import Problem

GIB = 1 << 30
MEMORY = 4 * GIB
"""Available memory before the start: the control plane takes about 1 GiB, pods and image builds the rest."""
DISK_STATE = 8 * GIB
"""Free disk for images, snapshots and volumes of one working set."""
DISK_CACHE = 2 * GIB
"""Free disk for building the base image: a Debian tree and its archive."""
LONGEST_SOCKET = 100
"""Characters of a socket's path; the kernel's limit is 107, and containerd appends to the path."""


def port_problem(port: Port, holder: str) -> Problem:
    """Return the problem of a port that `holder` has open."""
    kind = "UDP port" if port.udp else "Port"
    return Problem(
        f"{kind} {port.number} is needed by the local cluster's {port.owner} and is taken by {holder}",
        remedy="End that program, or wait for it to end, and try again",
    )


def ports_taken(
    ports: Iterable[Port],
    listeners: Iterable[machine.Listener],
    owner: Callable[[machine.Listener], tuple[str, bool]],
) -> list[Problem]:
    """Return one problem for each port that another program has open.

    Args:
        ports: the cluster's ports.
        listeners: all listening sockets.
        owner: returns which program has a socket, and whether that is a process of this cluster.

    """
    sockets = list(listeners)
    problems = []
    for port in ports:
        for socket in sockets:
            if socket.blocks(port):
                holder, ours = owner(socket)
                if not ours:
                    problems.append(port_problem(port, holder))
                    break
    return problems


def operating_system() -> list[Problem]:
    """Return the problem of a machine on which nothing of the cluster can run, so that nothing else is asked."""
    if platform.system() == "Linux":
        return []
    return [
        Problem(
            "The local cluster runs on Linux only",
            remedy="Use CLUSTER=kind with Docker, or any other cluster with CLUSTER=existing",
        )
    ]


def _system() -> Iterator[Problem]:
    if os.geteuid() != 0:
        yield Problem(
            "The local cluster runs containers, which needs root",
            remedy="Run it as root, for example with sudo, or use CLUSTER=kind with Docker",
        )
    if not {"cgroup", "cgroup2"} & {line.split()[-1] for line in _lines("/proc/filesystems")}:
        yield Problem(
            "This kernel does not have control groups, which pods need",
            remedy="Use another machine or a virtual machine",
        )
        return
    used = cgroups.used_by_kubelet(cgroups.mounted())
    unified = next((point for point, options in used.items() if options == "*"), None)
    offered = " ".join(_lines(f"{unified}/cgroup.controllers")) if unified else ""
    if missing := cgroups.missing_controllers(used, offered):
        yield Problem(
            f"The control groups of this machine lack {', '.join(missing)}, which kubelet needs",
            remedy="Use a machine that offers these controllers; run a container with its host's control groups",
        )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _packages(network: Network) -> Iterator[Problem]:
    missing = packages.missing(network)
    if missing and which("apt-get") is None:
        yield Problem(
            f"The packages {', '.join(missing)} are missing, and this machine has no apt-get to install them with",
            remedy="Install their programs by hand, or use Debian or Ubuntu",
        )


def _resources(place: Layout) -> Iterator[Problem]:
    needs = [(place.root, DISK_STATE, "EPHEMERAL_DASK_STATE")]
    if not list(place.images.glob("debian-python-*[0-9a-f]")):
        needs.append((place.images, DISK_CACHE, "EPHEMERAL_DASK_CACHE"))
    for folder, needed, variable in needs:
        if (free := machine.free_disk(folder)) < needed:
            yield Problem(
                f"{folder} has {free / GIB:.1f} GiB of free disk, and the local cluster needs {needed / GIB:.0f} GiB",
                remedy=f"Free disk space, or set {variable} to another folder",
            )
    if (free := machine.available_memory()) < MEMORY:
        yield Problem(
            f"This machine has {free / GIB:.1f} GiB of memory left, and the local cluster needs {MEMORY / GIB:.0f} GiB",
            remedy="End other programs, or use a larger machine",
        )
    if machine.file_system(place.root) == "overlay":
        yield Problem(
            f"{place.root} is on an overlay file system, on which containerd cannot mount its own overlays",
            remedy="Set EPHEMERAL_DASK_STATE to a folder on a disk or on a volume",
        )
    if len(str(place.containerd_socket)) > LONGEST_SOCKET:
        yield Problem(
            f"The path {place.root} is too long: the kernel limits the paths of the sockets in it to 107 characters",
            remedy="Set EPHEMERAL_DASK_STATE to a folder with a shorter path",
        )


def _other_clusters(place: Layout, ours: set[int]) -> Iterator[Problem]:
    """Check for other clusters on this machine: two nodes would change the same iptables rules and addresses."""
    theirs = {root for root in process.marked().values() if root != str(place.root)}
    for root in sorted(theirs):
        yield Problem(
            f"Another local cluster of this project runs from {root}",
            remedy=f"Take it down first: EPHEMERAL_DASK_STATE={Path(root).parent} make cluster-down",
        )
    for pid, name in [] if theirs else machine.node_programs(excluding=ours):
        yield Problem(
            f"The {name} of another cluster runs here (process {pid}), and two nodes cannot share a machine",
            remedy="Stop that cluster first",
        )


def _ports(ours: set[int], network: Network) -> list[Problem]:
    def owner(socket: machine.Listener) -> tuple[str, bool]:
        if socket.pid is None:
            return "a process that is not visible here", False
        words = process.command_line(socket.pid)
        return f"process {socket.pid} ({Path(words[0]).name if words else 'unknown'})", socket.pid in ours

    ports = (*PORTS, *(cilium.PORTS if network is Network.CILIUM else ()))
    return ports_taken(ports, machine.listeners(), owner)


def _networks(place: Layout) -> Iterator[Problem]:
    if which("ip") is None:
        return
    attachments = cni.attachments()
    networks_of_interfaces = {name: one.network for one in attachments for name in cni.host_interfaces(one)}
    own = {name for name, network in networks_of_interfaces.items() if network == place.tag}
    own.update(host_state.cilium_links(place.host_state))
    networks = (POD_CIDR, SERVICE_CIDR, f"{NODE_IP}/32")
    overlaps = machine.overlapping(
        networks, machine.ip_json("address"), machine.ip_json("route", "show", "table", "all")
    )
    for ours, theirs, interface in overlaps:
        if interface in own or (interface == "lo" and theirs in (NODE_IP, f"{NODE_IP}/32")):
            continue
        if networks_of_interfaces.get(interface, "").startswith(TAG):
            yield Problem(
                f"A local cluster of this project in another state folder was killed and left {interface} ({theirs})",
                remedy="Run `make cluster-down` with the EPHEMERAL_DASK_STATE of that cluster, or restart this machine",
            )
            continue
        yield Problem(
            f"The local cluster's network {ours} overlaps {theirs}, which this machine reaches through {interface}",
            remedy="Disconnect that network (often a VPN) while the cluster runs",
        )


def problems(place: Layout, ours: Iterable[int], network: Network = Network.PTP) -> list[Problem]:
    """Return everything that prevents the cluster from starting; changes nothing.

    Args:
        place: the cluster.
        ours: pids of its running processes, whose ports and memory it may use.
        network: the network that is to connect its pods.

    """
    if elsewhere := operating_system():
        return elsewhere
    pids = set(ours)
    obstacles = [*_system(), *_packages(network)]
    if network is Network.CILIUM:
        obstacles += cilium.problems(ours=bool(host_state.cilium_links(place.host_state)))
    if os.geteuid() == 0:
        others = list(_other_clusters(place, pids))
        # Another cluster is the reason for every port that is taken and every network that overlaps.
        obstacles += others or [*_ports(pids, network), *_networks(place)]
    if not pids:
        obstacles += _resources(place)
    return obstacles
