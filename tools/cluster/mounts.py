"""The mounts of this machine, and unmounting those below a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.cluster.programs import run


@dataclass(frozen=True)
class Mount:
    """One mounted file system.

    Attributes:
        point: the folder that it is mounted at.
        type: the file system's type, as in `ext4`.
        options: the mount options, separated by commas.

    """

    point: Path
    type: str
    options: str


def current() -> list[Mount]:
    """Return the mounts of this machine in the order in which they were made."""
    return [Mount(Path(one.mountpoint), one.fstype, one.opts) for one in psutil.disk_partitions(all=True)]


def below(folder: Path, mounts: Iterable[Mount]) -> list[Path]:
    """Return the mount points at or below a folder, the last mounted first: the order for unmounting."""
    points = [mount.point for mount in mounts]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder; a busy mount goes when its last user does."""
    for point in below(folder, current()):
        if run("umount", str(point)).returncode != 0:
            run("umount", "--lazy", str(point))
