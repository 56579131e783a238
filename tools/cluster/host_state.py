"""The state of the machine that the cluster changes: recorded before the start, restored after the end."""

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
    # kubelet sets the others itself.
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""Kernel settings, as paths below /proc/sys."""
PLUGIN_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
"""Kubelet has no setting for this path."""
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
"""Folders outside the cluster's own that its components make, inner ones first."""


def _settings(names: Iterable[str]) -> dict[str, str]:
    values = {}
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = Path("/proc/sys", name).read_text().strip()
    return values


def read(record: Path) -> Mapping[str, Any]:
    """Return what `save` wrote since the machine started; an empty mapping when it wrote nothing."""
    with contextlib.suppress(OSError, ValueError):
        state: Mapping[str, Any] = json.loads(record.read_text())
        # A restart of the machine resets the settings and most of the folders.
        if state.get("boot") == process.boot_id():
            return state
    return {}


def save(record: Path, network: Network = Network.PTP) -> None:
    """Record the machine's state, unless an earlier cluster did since the machine started.

    That cluster may have left changes, so the present state may not be the original one.
    """
    if read(record):
        return
    extra = cilium.SETTINGS if network is Network.CILIUM else ()
    state = {
        "boot": process.boot_id(),
        "network": network,
        "settings": _settings((*SETTINGS, *extra)),
        "absent": [str(folder) for folder in (*FOLDERS, cilium.RUNTIME) if not folder.exists()],
        "links": machine.links(),
    }
    files.write(record, json.dumps(state))


def cilium_links(record: Path) -> list[str]:
    """Return the interfaces that this cluster's Cilium created; an empty list where another network was used."""
    state = read(record)
    return cilium.created_links(state["links"], machine.links()) if state.get("network") == Network.CILIUM else []


def prepare() -> None:
    """Add the node's address to `lo` and enable IP forwarding, which pods need.

    Raises:
        Problem: the address cannot be added.

    """
    result = run("ip", "address", "replace", f"{NODE_IP}/32", "dev", "lo")
    if result.returncode != 0:
        raise Problem(
            f"The node's address {NODE_IP} cannot be added to the interface lo",
            remedy="Read the output of `ip` below; a container needs the capability NET_ADMIN",
            detail=result.stderr,
        )
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def restore(record: Path) -> None:
    """Remove the node's address, restore the settings, and remove the folders that did not exist and are empty."""
    run("ip", "address", "del", f"{NODE_IP}/32", "dev", "lo")
    state = read(record)
    settings = state.get("settings", {})
    present = _settings(settings)
    for name, value in settings.items():
        if present.get(name) != value:
            with contextlib.suppress(OSError):
                Path("/proc/sys", name).write_text(value)
    absent = state.get("absent", ())
    if str(PLUGIN_SOCKET.parent) in absent:
        PLUGIN_SOCKET.unlink(missing_ok=True)
    if str(cilium.RUNTIME) in absent and state.get("network") == Network.CILIUM:
        files.remove_tree(cilium.RUNTIME)
    for folder in absent:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    record.unlink(missing_ok=True)
