"""The control groups of our pods: one root of our own, so that every process below it is known to be ours."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from tools.cluster.process import Identity
from tools.cluster.wait import until

NEEDED = ("cpu", "memory", "pids")
"""Controllers without which a kubelet does not start."""
KUBELET_WANTS = {*NEEDED, "cpuset", "io", "hugetlb"}
"""Controllers that it uses where a machine has them."""


def mounted(mounts: str) -> dict[Path, str]:
    """Read where control groups are mounted, and the options of each mount ("*" for version 2)."""
    lines = [line.split(" ") for line in mounts.splitlines()]
    return {
        Path(fields[1]): fields[3] if fields[2] == "cgroup" else "*"
        for fields in lines
        if len(fields) > 3 and fields[2] in ("cgroup", "cgroup2")
    }


def in_use(found: dict[Path, str]) -> dict[Path, str]:
    """Choose the hierarchies that kubelet works with: version 1 on a machine that mixes both."""
    v1 = {place: options for place, options in found.items() if options != "*"}
    return v1 or found


def missing_controllers(found: dict[Path, str], unified: str) -> list[str]:
    """Needed controllers that a machine does not offer.

    Args:
        found: what `in_use` answered.
        unified: text of `cgroup.controllers` where version 2 is used, else empty.

    """
    if "*" in found.values():
        return [name for name in NEEDED if name not in unified.split()]
    offered = {option for options in found.values() for option in options.split(",")}
    return [name for name in NEEDED if name not in offered]


def machine() -> dict[Path, str]:
    """`mounted` on this machine."""
    return mounted(Path("/proc/mounts").read_text())


def create(name: str) -> None:
    """Make our root group in every hierarchy in use: kubelet wants to find it there."""
    for hierarchy, options in in_use(machine()).items():
        if options == "*":
            # Version 2 hands a controller down only where that is asked for; systemd does, a bare machine may not.
            for controller in KUBELET_WANTS & set((hierarchy / "cgroup.controllers").read_text().split()):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        (hierarchy / name).mkdir(exist_ok=True)


def folders(name: str, places: Iterable[Path]) -> list[Path]:
    """All groups at and below our root, the inner before the outer; they may be gone by the time they are looked at."""
    return [Path(folder) for place in places for folder, _, _ in os.walk(place / name, topdown=False)]


def processes(name: str) -> list[Identity]:
    """Every process below our root group."""
    pids: set[int] = set()
    for folder in folders(name, machine()):
        with contextlib.suppress(OSError):
            pids.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return [identity for pid in sorted(pids) if (identity := Identity.of(pid))]


def hears_term(status: str) -> bool:
    """Whether a process is number 1 of a container and does something about SIGTERM.

    Number 1 of a container does not get a signal that it has no handler for, so there is no use in waiting for others.

    Args:
        status: text of /proc/PID/status.

    """
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    numbers = fields.get("NSpid", "").split()
    # Caught, or blocked and read in another way.
    masks = int(fields.get("SigCgt", "0"), 16) | int(fields.get("SigBlk", "0"), 16)
    return len(numbers) > 1 and numbers[-1] == "1" and bool(masks >> (signal.SIGTERM - 1) & 1)


def _status(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def end_processes(name: str, *, grace: float) -> list[Identity]:
    """End what runs in our groups: containers are asked first, so that a database can close its files.

    Args:
        name: our root group.
        grace: seconds between asking and making.

    Returns:
        Processes that did not end even so.

    """
    asked = [process for process in processes(name) if grace and hears_term(_status(process.pid))]
    for process in asked:
        process.signal(signal.SIGTERM)
    until(lambda: not any(process.alive() for process in asked), seconds=grace)

    def kill() -> bool:
        # Again and again: what is being killed may be in the middle of starting another.
        left = processes(name)
        for process in left:
            process.signal(signal.SIGKILL)
        return not left

    return [] if until(kill, seconds=15) else processes(name)


def remove(name: str) -> None:
    """Remove our groups; one that still holds a process stays, for it is in use."""
    for folder in folders(name, machine()):
        with contextlib.suppress(OSError):
            folder.rmdir()
