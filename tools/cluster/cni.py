"""Taking back what the CNI plugins did for pods whose runtime is gone, from the record that libcni itself keeps."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.cluster.programs import run

CACHE = Path("/var/lib/cni/results")
"""Where libcni notes each attachment; containerd has no setting for it."""
PLUGINS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are."""
LOOPBACK = "cni-loopback"
"""The network of every pod's interface `lo`; containerd gives it the same name in all clusters."""


@dataclass(frozen=True)
class Attachment:
    """One interface of one pod, as libcni noted it."""

    file: Path
    network: str
    container: str
    interface: str
    args: str
    config: dict[str, Any]
    result: dict[str, Any]


def parse(file: Path, text: str) -> Attachment | None:
    """Read one cache entry; None for anything else."""
    try:
        entry = json.loads(text)
        return Attachment(
            file=file,
            network=entry["networkName"],
            container=entry["containerId"],
            interface=entry["ifName"],
            args=";".join(f"{key}={value}" for key, value in entry.get("cniArgs") or ()),
            config=json.loads(base64.b64decode(entry["config"])),
            result=entry["result"],
        )
    except (KeyError, TypeError, ValueError):
        return None


def noted() -> list[Attachment]:
    """Everything that libcni notes on this machine."""
    found = sorted(CACHE.iterdir()) if CACHE.is_dir() else []
    entries = (parse(file, file.read_text(errors="replace")) for file in found if file.is_file())
    return [entry for entry in entries if entry]


def of_network(entries: Iterable[Attachment], network: str) -> list[Attachment]:
    """Pick the attachments to one network, and the loopback interfaces of the same pods."""
    everything = list(entries)
    containers = {entry.container for entry in everything if entry.network == network}
    return [
        entry
        for entry in everything
        if entry.network == network or (entry.network == LOOPBACK and entry.container in containers)
    ]


def has_others(entries: Iterable[Attachment], network: str) -> bool:
    """Whether somebody else's pods are attached to networks of theirs."""
    return any(entry.network not in (network, LOOPBACK) for entry in entries)


def outer_interfaces(attachment: Attachment) -> list[str]:
    """List the machine's ends of an attachment."""
    return [one["name"] for one in attachment.result.get("interfaces") or () if not one.get("sandbox")]


def deletions(attachment: Attachment) -> list[tuple[str, str]]:
    """Plugin and its standard input, in the order that undoes the attachment."""
    config = attachment.config
    plugins = config.get("plugins") or [config]
    return [
        (
            plugin["type"],
            json.dumps(
                plugin
                | {
                    "name": attachment.network,
                    "cniVersion": config.get("cniVersion", "0.4.0"),
                    "prevResult": attachment.result,
                }
            ),
        )
        for plugin in reversed(plugins)
    ]


def detach(entries: Iterable[Attachment]) -> None:
    """Run each plugin's DEL, which takes back addresses and rules, remove the interface, and forget the entry.

    A plugin that fails is passed over: whatever it leaves is taken by the sweeps that follow.
    """
    for entry in entries:
        for plugin, config in deletions(entry):
            run(
                str(PLUGINS / plugin),
                stdin=config,
                environment={
                    "CNI_COMMAND": "DEL",
                    "CNI_CONTAINERID": entry.container,
                    "CNI_IFNAME": entry.interface,
                    "CNI_NETNS": "",
                    "CNI_PATH": str(PLUGINS),
                    "CNI_ARGS": entry.args,
                },
            )
        # It would go with the pod's network namespace, but at a time of the kernel's own choice.
        for interface in outer_interfaces(entry):
            run("ip", "link", "delete", interface, "type", "veth")
        entry.file.unlink(missing_ok=True)
