"""What the cluster changes on the machine as a whole: noted before, given back after."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.cluster import cilium, cni, files, machine, process
from tools.cluster.layout import NODE_IP
from tools.cluster.network import Network
from tools.cluster.programs import run
from tools.errors import Problem

SETTINGS = (
    "net/ipv4/ip_forward",
    # The rest is what kubelet sets for itself.
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""Kernel settings, as paths below /proc/sys."""
PLUGIN_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
"""Kubelet has no setting for this one."""
FOLDERS = (
    PLUGIN_SOCKET.parent,
    PLUGIN_SOCKET.parent.parent,
    cni.CACHE,
    cni.CACHE.parent,
    Path("/run/containerd/s"),
    Path("/run/containerd"),
    Path("/run/runc"),
    Path("/run/netns"),
    Path("/var/log/containers"),
)
"""Folders that our components make wherever our own folder is, the inner before the outer."""


def _settings(names: Iterable[str]) -> dict[str, str]:
    values = {}
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = Path("/proc/sys", name).read_text().strip()
    return values


def read(record: Path) -> Mapping[str, Any]:
    """Return what `note` wrote in this boot of the machine; empty when there is nothing."""
    with contextlib.suppress(OSError, ValueError):
        noted: Mapping[str, Any] = json.loads(record.read_text())
        # Settings and most of the folders do not survive a start of the machine.
        if noted.get("boot") == process.boot_id():
            return noted
    return {}


def note(record: Path, network: Network = Network.PTP) -> None:
    """Note how the machine is, unless an earlier cluster of this boot did: what is there now may be its doing."""
    if read(record):
        return
    extra = cilium.SETTINGS if network is Network.CILIUM else ()
    noted = {
        "boot": process.boot_id(),
        "network": network,
        "settings": _settings((*SETTINGS, *extra)),
        "absent": [str(folder) for folder in (*FOLDERS, cilium.RUNTIME) if not folder.exists()],
        "links": machine.links(),
    }
    files.write(record, json.dumps(noted))


def links_of_cilium(record: Path) -> list[str]:
    """Name the interfaces on this machine that are those of a Cilium of ours; none where another network was used."""
    noted = read(record)
    used = noted.get("network") == Network.CILIUM
    return cilium.own_links(noted["links"], machine.links()) if used else []


def prepare() -> None:
    """Give the node its address and let packets of pods through.

    Raises:
        Problem: when the address cannot be given.

    """
    result = run("ip", "address", "replace", f"{NODE_IP}/32", "dev", "lo")
    if result.returncode != 0:
        raise Problem(
            f"The node's address {NODE_IP} cannot be put on the interface lo",
            remedy="See below what `ip` says; inside a container, give it the capability NET_ADMIN",
            detail=result.stderr,
        )
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def give_back(record: Path) -> None:
    """Take the node's address away, put back the settings, and remove folders that were not there and are empty."""
    run("ip", "address", "del", f"{NODE_IP}/32", "dev", "lo")
    noted = read(record)
    settings = noted.get("settings", {})
    now = _settings(settings)
    for name, value in settings.items():
        if now.get(name) != value:
            with contextlib.suppress(OSError):
                Path("/proc/sys", name).write_text(value)
    absent = noted.get("absent", ())
    if str(PLUGIN_SOCKET.parent) in absent:
        PLUGIN_SOCKET.unlink(missing_ok=True)
    if str(cilium.RUNTIME) in absent and noted.get("network") == Network.CILIUM:
        files.remove_tree(cilium.RUNTIME)
    for folder in absent:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    record.unlink(missing_ok=True)
