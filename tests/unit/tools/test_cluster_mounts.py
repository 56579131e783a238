"""The mounts below a cluster's folder."""

import subprocess
from pathlib import Path

import pytest

from tools.cluster import files, machine, mounts
from tools.cluster.mounts import Mount

MOUNTS = r"""
/dev/vda / ext4 rw 0 0
overlay /state/cluster/containerd-state/rootfs overlay rw 0 0
tmpfs /state/cluster/kubelet/pods/with\040blank tmpfs rw 0 0
proc /state/cluster/containerd-state/rootfs/proc proc rw 0 0
tmpfs /state/cluster-of-another tmpfs rw 0 0
"""


def test_mounts_below_a_folder_come_in_the_order_for_unmounting() -> None:
    assert mounts.below(Path("/state/cluster"), mounts.parse(MOUNTS)) == [
        Path("/state/cluster/containerd-state/rootfs/proc"),
        Path("/state/cluster/kubelet/pods/with blank"),
        Path("/state/cluster/containerd-state/rootfs"),
    ]


def test_the_mounts_of_this_machine_include_the_root() -> None:
    assert Path("/") in {mount.point for mount in mounts.current()}


def test_a_folder_in_which_something_stays_mounted_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.setattr(mounts, "current", lambda: [Mount(tmp_path / "inner", "tmpfs", "rw")])
    monkeypatch.setattr(mounts, "run", lambda *argv: subprocess.CompletedProcess(argv, 1, "", "target is busy"))
    with pytest.raises(OSError, match="still has"):
        files.remove_tree(tmp_path)
    assert (tmp_path / "inner").exists()


def test_a_folder_is_on_the_file_system_of_its_closest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = [Mount(Path("/"), "overlay", "rw"), Mount(tmp_path, "ext4", "rw"), Mount(tmp_path / "other", "nfs", "rw")]
    monkeypatch.setattr(mounts, "current", lambda: stack)
    assert machine.file_system(tmp_path / "not" / "made" / "yet") == "ext4"
    assert machine.file_system(Path("/proc")) == "overlay"
    stack.append(Mount(tmp_path, "tmpfs", "rw"))
    assert machine.file_system(tmp_path) == "tmpfs"
