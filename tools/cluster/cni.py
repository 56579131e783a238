"""Undoing what CNI plugins did for pods whose runtime has ended, from the record that libcni keeps."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.cluster.programs import run

CACHE = Path("/var/lib/cni/results")
"""The folder in which libcni records each attachment; containerd has no setting for it."""
PLUGINS = Path("/usr/lib/cni")
"""The folder of Debian's containernetworking-plugins."""
LOOPBACK = "cni-loopback"
"""The network of each pod's interface `lo`; containerd uses this name in every cluster."""


@dataclass(frozen=True)
class Attachment:
    """One interface of one pod, as libcni recorded it."""

    file: Path
    network: str
    container: str
    interface: str
    args: str
    config: dict[str, Any]
    result: dict[str, Any]


def parse(file: Path, text: str) -> Attachment | None:
    """Return the attachment in a file of libcni's cache; None when the file holds something else."""
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


def attachments() -> list[Attachment]:
    """Return all attachments that libcni has recorded on this machine."""
    files = sorted(CACHE.iterdir()) if CACHE.is_dir() else []
    entries = (parse(file, file.read_text(errors="replace")) for file in files if file.is_file())
    return [entry for entry in entries if entry]


def of_network(entries: Iterable[Attachment], network: str) -> list[Attachment]:
    """Return the attachments to one network, and the loopback interfaces of the same pods."""
    everything = list(entries)
    containers = {entry.container for entry in everything if entry.network == network}
    return [
        entry
        for entry in everything
        if entry.network == network or (entry.network == LOOPBACK and entry.container in containers)
    ]


def has_others(entries: Iterable[Attachment], network: str) -> bool:
    """Return whether pods are attached to a network other than `network`."""
    return any(entry.network not in (network, LOOPBACK) for entry in entries)


def host_interfaces(attachment: Attachment) -> list[str]:
    """Return the names of an attachment's interfaces on the machine's side."""
    return [one["name"] for one in attachment.result.get("interfaces") or () if not one.get("sandbox")]


def delete_calls(attachment: Attachment) -> list[tuple[str, str]]:
    """Return each plugin and the standard input of its DEL call, in the order that undoes the attachment."""
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
    """Undo attachments: run DEL of each plugin, which frees addresses and rules, and remove interface and record.

    A plugin's failure is ignored: what it leaves is removed by the later steps of `cleanup.clean`.
    """
    for entry in entries:
        for plugin, config in delete_calls(entry):
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
        # The kernel removes it together with the pod's network namespace, but at a time of its own.
        for interface in host_interfaces(entry):
            run("ip", "link", "delete", interface, "type", "veth")
        entry.file.unlink(missing_ok=True)
