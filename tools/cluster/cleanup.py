"""Removing what a cluster left on the machine, whether it was stopped, was killed, or ended with the machine.

Only facts decide what belongs to the cluster: pid files, the mark in a process's environment, the root control group,
mount points below the cluster's folder, the names of its CNI network and of its iptables chain, and the record of the
machine's state before the start. All nodes of a machine share the chains KUBE-* and CILIUM_* and the kernel settings,
so these stay while another node runs.
"""

from __future__ import annotations

import contextlib
import signal
import stat
from collections.abc import Iterable
from pathlib import Path

from tools.cluster import cgroups, cilium, cni, files, firewall, host_state, machine, mounts, process, services
from tools.cluster.layout import Layout
from tools.cluster.network import Network
from tools.cluster.process import Identity
from tools.cluster.wait import until
from tools.errors import Problem


def end_pods(place: Layout, *, grace: float) -> None:
    """End every container. A kubelet that still runs restarts them, so it has to end first.

    Raises:
        Problem: a process does not end.

    """
    _raise_if_any(cgroups.end_processes(place.tag, grace=grace))


def _raise_if_any(alive: Iterable[Identity]) -> None:
    for identity in alive:
        command = " ".join(process.command_line(identity.pid)[:2])
        raise Problem(
            f"Process {identity.pid} ({command}) of the local cluster does not end, not even by SIGKILL",
            remedy="It waits in the kernel, often for a disk; if it stays, restart the machine",
        )


def _end_marked(place: Layout) -> None:
    """End marked processes without a pid file: shims of containers, and what an up() that was killed had started."""

    def kill() -> bool:
        alive = process.marked(str(place.root))
        for identity in alive:
            identity.signal(signal.SIGKILL)
        return not alive

    if not until(kill, seconds=15):
        _raise_if_any(process.marked(str(place.root)))


def _remove_sockets(place: Layout) -> None:
    """Remove the sockets of shims: containerd keeps them outside the cluster's folder and their addresses inside."""
    for address in place.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        socket = Path(address.read_text().strip().removeprefix("unix://"))
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(socket.stat().st_mode):
                socket.unlink()


def _remove_log_links(place: Layout) -> None:
    """Remove kubelet's links to container logs, for whose folder it has no setting."""
    folder = Path("/var/log/containers")
    for link in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if link.is_symlink() and place.root in link.readlink().parents:
                link.unlink()


def clean(place: Layout) -> None:
    """Remove everything that a cluster left, its pods included; its components must have ended.

    A clean machine stays as it is.

    Raises:
        Problem: a process does not end, or iptables refuses the removal of a rule.

    """
    end_pods(place, grace=0)
    attachments = cni.attachments()
    cni.detach(cni.of_network(attachments, place.tag))
    _end_marked(place)
    _remove_sockets(place)
    mounts.unmount_below(place.root)
    for folder in (place.containerd_state, place.root / "addresses", place.cilium):
        files.remove_tree(folder)
    for socket in place.root.glob("*.sock*"):
        socket.unlink(missing_ok=True)
    alone = not machine.node_programs()
    used_cilium = host_state.read(place.host_state).get("network") == Network.CILIUM
    cilium.remove_links(host_state.cilium_links(place.host_state))
    firewall.remove(
        place.tag,
        proxy=alone,
        portmap=alone and not cni.has_others(attachments, place.tag),
        cilium=alone and used_cilium,
    )
    cgroups.remove(place.tag)
    _remove_log_links(place)
    services.remove_policy()
    if alone:
        host_state.restore(place.host_state)
