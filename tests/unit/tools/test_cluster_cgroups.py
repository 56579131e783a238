"""The control groups of a machine, of both versions."""

import signal
from pathlib import Path

from tools.cluster import cgroups
from tools.cluster.mounts import Mount

TAG = "ephemeral-dask-90bd36fd"
VERSION_1 = [
    Mount(Path("/sys/fs/cgroup/cpu"), "cgroup", "rw,cpu"),
    Mount(Path("/sys/fs/cgroup/memory"), "cgroup", "rw,memory"),
]
VERSION_2 = [Mount(Path("/sys/fs/cgroup"), "cgroup2", "rw,nsdelegate")]
MIXED = [*VERSION_1, Mount(Path("/sys/fs/cgroup/unified"), "cgroup2", "rw"), Mount(Path("/"), "ext4", "rw")]


def test_kubelet_uses_version_1_on_a_machine_that_mixes_both_versions() -> None:
    hierarchies = cgroups.hierarchies(MIXED)
    assert len(hierarchies) == 3
    assert set(cgroups.used_by_kubelet(hierarchies)) == {Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/memory")}


def test_missing_controllers_are_named_in_both_versions() -> None:
    assert cgroups.missing_controllers(cgroups.used_by_kubelet(cgroups.hierarchies(VERSION_1)), "") == ["pids"]
    unified = cgroups.used_by_kubelet(cgroups.hierarchies(VERSION_2))
    assert cgroups.missing_controllers(unified, "cpuset cpu io memory pids") == []
    assert cgroups.missing_controllers(unified, "io") == ["cpu", "memory", "pids"]


def test_inner_groups_come_first_and_a_hierarchy_without_the_group_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "cpu" / TAG / "kubepods" / "pod1").mkdir(parents=True)
    (tmp_path / "cpu" / "system").mkdir()
    folders = cgroups.folders(TAG, [tmp_path / "cpu", tmp_path / "pids"])
    assert [folder.name for folder in folders] == ["pod1", "kubepods", TAG]


def status(numbers: str, *, caught: int = 0, blocked: int = 0) -> str:
    return f"Name:\tx\nNSpid:\t{numbers}\nSigBlk:\t{blocked:016x}\nSigCgt:\t{caught:016x}\n"


def test_only_process_1_of_a_container_with_a_handler_gets_time_to_end() -> None:
    term = 1 << (signal.SIGTERM - 1)
    assert cgroups.handles_sigterm(status("4711\t1", caught=term))
    assert cgroups.handles_sigterm(status("4711\t1", blocked=term))
    assert not cgroups.handles_sigterm(status("4711\t1", caught=1 << (signal.SIGINT - 1)))
    assert not cgroups.handles_sigterm(status("4711\t7", caught=term))
    assert not cgroups.handles_sigterm(status("1", caught=term))
    assert not cgroups.handles_sigterm("")
