"""Taking away what a cluster left on the machine, whether it ended well, was killed, or went with the machine's power.

What belongs to the cluster is decided by facts alone: pid files, our mark in a process's environment, our root control
group, mount points below our folder, the name of our CNI network and of our chain, and the record of how the machine
was before. KUBE-* and CILIUM_* chains and kernel settings are shared by all nodes of a machine, so they stay while
somebody else's node runs.
"""

from __future__ import annotations

import contextlib
import signal
import stat
from collections.abc import Iterable
from pathlib import Path

from tools.cluster import cgroups, cilium, cni, files, firewall, imprint, machine, mounts, process
from tools.cluster.layout import Layout
from tools.cluster.network import Network
from tools.cluster.process import Identity
from tools.cluster.wait import until
from tools.errors import Problem


def end_pods(place: Layout, *, grace: float) -> None:
    """End every container; kubelet must have ended before, or it starts them anew.

    Raises:
        Problem: when a process cannot be ended.

    """
    _all_ended(cgroups.end_processes(place.tag, grace=grace))


def _all_ended(left: Iterable[Identity]) -> None:
    for one in left:
        command = " ".join(process.command_line(one.pid)[:2])
        raise Problem(
            f"Process {one.pid} ({command}) of the local cluster does not end, even when killed",
            remedy="It waits for the kernel, often for a disk; if it stays, restart the machine",
        )


def _end_marked(place: Layout) -> None:
    """End what carries our mark and is in no pid file: shims of containers, and what a killed up() had started."""

    def kill() -> bool:
        left = process.marked(str(place.root))
        for identity in left:
            identity.signal(signal.SIGKILL)
        return not left

    if not until(kill, seconds=15):
        _all_ended(process.marked(str(place.root)))


def _remove_sockets(place: Layout) -> None:
    """Remove the sockets of shims, which containerd keeps outside our folder and names in ours."""
    for note in place.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        socket = Path(note.read_text().strip().removeprefix("unix://"))
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(socket.stat().st_mode):
                socket.unlink()


def _remove_log_links(place: Layout) -> None:
    """Remove kubelet's links to container logs: it has no setting for their folder."""
    folder = Path("/var/log/containers")
    for link in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if link.is_symlink() and place.root in link.readlink().parents:
                link.unlink()


def sweep(place: Layout) -> None:
    """Take away everything of a cluster none of whose components is to go on. A clean machine is left untouched.

    Raises:
        Problem: when something cannot be taken away.

    """
    end_pods(place, grace=0)
    attachments = cni.noted()
    cni.detach(cni.of_network(attachments, place.tag))
    _end_marked(place)
    _remove_sockets(place)
    mounts.unmount_below(place.root)
    for folder in (place.containerd_state, place.root / "addresses", place.cilium):
        files.remove_tree(folder)
    for socket in place.root.glob("*.sock*"):
        socket.unlink(missing_ok=True)
    alone = not machine.node_programs(but=())
    ours = imprint.read(place.imprint).get("network") == Network.CILIUM
    cilium.remove_links(imprint.links_of_cilium(place.imprint))
    firewall.remove(
        place.tag,
        proxy=alone,
        portmap=alone and not cni.has_others(attachments, place.tag),
        cilium=alone and ours,
    )
    cgroups.remove(place.tag)
    _remove_log_links(place)
    if alone:
        imprint.give_back(place.imprint)
