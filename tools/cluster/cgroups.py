"""The control groups of the cluster's pods, all below one root group: every process in it belongs to the cluster."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from tools.cluster import mounts
from tools.cluster.mounts import Mount
from tools.cluster.process import Identity
from tools.cluster.wait import until

REQUIRED = ("cpu", "memory", "pids")
"""Controllers without which a kubelet does not start."""
USED = {*REQUIRED, "cpuset", "io", "hugetlb"}
"""Controllers that a kubelet uses where a machine has them."""


def mounted() -> dict[Path, str]:
    """Return where control groups are mounted on this machine, and the options of each mount."""
    return hierarchies(mounts.current())


def hierarchies(everything: Iterable[Mount]) -> dict[Path, str]:
    """Pick the mounts of control groups: mount point -> options, "*" for version 2."""
    return {
        mount.point: mount.options if mount.type == "cgroup" else "*"
        for mount in everything
        if mount.type in ("cgroup", "cgroup2")
    }


def used_by_kubelet(mounted: dict[Path, str]) -> dict[Path, str]:
    """Pick the hierarchies that kubelet uses: those of version 1 on a machine that mixes both."""
    v1 = {point: options for point, options in mounted.items() if options != "*"}
    return v1 or mounted


def missing_controllers(used: dict[Path, str], unified: str) -> list[str]:
    """Return the required controllers that a machine does not offer.

    Args:
        used: the result of `used_by_kubelet`.
        unified: the text of `cgroup.controllers` where version 2 is used, else empty.

    """
    if "*" in used.values():
        return [name for name in REQUIRED if name not in unified.split()]
    offered = {option for options in used.values() for option in options.split(",")}
    return [name for name in REQUIRED if name not in offered]


def create(name: str) -> None:
    """Create the root group in every hierarchy that kubelet uses: kubelet requires it to exist."""
    for hierarchy, options in used_by_kubelet(mounted()).items():
        if options == "*":
            # In version 2 a parent has to delegate each controller. systemd does that, a bare machine may not.
            for controller in USED & set((hierarchy / "cgroup.controllers").read_text().split()):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        (hierarchy / name).mkdir(exist_ok=True)


def folders(name: str, hierarchies: Iterable[Path]) -> list[Path]:
    """Return the groups at and below the root group, inner ones first; they may vanish at any moment."""
    return [Path(folder) for top in hierarchies for folder, _, _ in os.walk(top / name, topdown=False)]


def processes(name: str) -> list[Identity]:
    """Return every process below the root group."""
    pids: set[int] = set()
    for folder in folders(name, mounted()):
        with contextlib.suppress(OSError):
            pids.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return [identity for pid in sorted(pids) if (identity := Identity.of(pid))]


def handles_sigterm(status: str) -> bool:
    """Return whether a process is process 1 of a container and handles SIGTERM.

    The kernel drops a signal to process 1 of a container that has no handler for it, so waiting for one without a
    handler is useless. psutil reports neither the pid in the container nor signal masks.

    Args:
        status: the text of /proc/PID/status.

    """
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    numbers = fields.get("NSpid", "").split()
    # Caught; or blocked, and then read with sigwait or a signalfd.
    masks = int(fields.get("SigCgt", "0"), 16) | int(fields.get("SigBlk", "0"), 16)
    return len(numbers) > 1 and numbers[-1] == "1" and bool(masks >> (signal.SIGTERM - 1) & 1)


def _status(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def end_processes(name: str, *, grace: float) -> list[Identity]:
    """End the processes in the cluster's groups. Containers get SIGTERM first, so that a database closes its files.

    Args:
        name: the root group.
        grace: seconds between SIGTERM and SIGKILL; 0 sends no SIGTERM.

    Returns:
        The processes that still run.

    """
    terminated = [process for process in processes(name) if grace and handles_sigterm(_status(process.pid))]
    for process in terminated:
        process.signal(signal.SIGTERM)
    until(lambda: not any(process.alive() for process in terminated), seconds=grace)

    def kill() -> bool:
        # Repeatedly: a process may start another one while it is being killed.
        alive = processes(name)
        for process in alive:
            process.signal(signal.SIGKILL)
        return not alive

    return [] if until(kill, seconds=15) else processes(name)


def remove(name: str) -> None:
    """Remove the cluster's groups; a group that still holds a process stays."""
    for folder in folders(name, mounted()):
        with contextlib.suppress(OSError):
            folder.rmdir()
