"""What is mounted below a folder of ours, and taking it away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tools.cluster.programs import run


def parse(text: str) -> list[Path]:
    """Mount points in the order of /proc/mounts, which writes blanks and the like as octal numbers."""
    points = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 1:
            points.append(Path(fields[1].encode().decode("unicode_escape").encode("latin-1").decode()))
    return points


def below(folder: Path, points: Iterable[Path]) -> list[Path]:
    """Pick the mount points at or below a folder, last mounted first: the order in which they come off."""
    return [point for point in reversed(list(points)) if point == folder or folder in point.parents]


def current() -> list[Path]:
    """Read the mount points of this machine."""
    return parse(Path("/proc/self/mounts").read_text())


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder; what is busy goes when its last user does."""
    for point in below(folder, current()):
        if run("umount", str(point)).returncode != 0:
            run("umount", "--lazy", str(point))
