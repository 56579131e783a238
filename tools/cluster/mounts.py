"""The mounts of this machine, and unmounting those below a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


def parse(text: str) -> list[Mount]:
    """Return the mounts of /proc/self/mounts, which writes blanks and the like as octal numbers. Source: proc(5)."""
    lines = [line.split(" ") for line in text.splitlines()]
    return [Mount(_unescaped(fields[1]), fields[2], fields[3]) for fields in lines if len(fields) > 3]


def _unescaped(path: str) -> Path:
    return Path(path.encode().decode("unicode_escape").encode("latin-1").decode())


def current() -> list[Mount]:
    """Return the mounts of this machine in the order in which they were made.

    This reads the kernel's list. psutil prefers /etc/mtab, which is a stale file on some machines, and `remove_tree`
    must not miss a mount: it would delete what is mounted there.
    """
    return parse(Path("/proc/self/mounts").read_text())


def below(folder: Path, mounts: Iterable[Mount]) -> list[Path]:
    """Return the mount points at or below a folder, the last mounted first: the order for unmounting."""
    points = [mount.point for mount in mounts]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder; a busy mount goes when its last user does."""
    for point in below(folder, current()):
        if run("umount", str(point)).returncode != 0:
            run("umount", "--lazy", str(point))
