"""What happens on the real cluster when the volume of a Prefect server with SQLite is read-only or full."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from infra import naming
from infra.components.prefect_server import DATA
from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ended, logged, restarts, running, scaled_down, state
from tools.cluster.wait import until

SERVER = f"deployment/{naming.SERVER}"
ROOM = 16
"""MiB that the full volume has beside the database."""


def ready(newcomer: Newcomer) -> bool:
    return newcomer.kubectl("get", SERVER, "-o", "jsonpath={.status.readyReplicas}") == "1"


def folder(newcomer: Newcomer) -> Path:
    """Return the folder of the node that is the server's volume."""
    pod = "jsonpath={.items[0].spec.volumes[?(@.name=='data')].persistentVolumeClaim.claimName}"
    claim = newcomer.kubectl("get", "pods", "-l", f"app.kubernetes.io/name={naming.SERVER}", "-o", pod)
    volume = newcomer.kubectl("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}")
    path = newcomer.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.local.path}{.spec.hostPath.path}")
    return Path(path)


@contextlib.contextmanager
def read_only(newcomer: Newcomer) -> Iterator[None]:
    """Let the server's container open nothing on the volume for writing.

    Files that are open stay writable: a file system with such files cannot become read-only.
    """
    script = "import os; print(os.readlink('/proc/self/ns/mnt'))"
    namespace = newcomer.kubectl("exec", SERVER, "--", "python", "-S", "-c", script).strip()
    process = next(
        each.parent.parent.name
        for each in Path("/proc").glob("[0-9]*/ns/mnt")
        if each.is_symlink() and str(each.readlink()) == namespace
    )

    def inside(*command: str) -> None:
        subprocess.run(["nsenter", f"--target={process}", "--mount", *command], check=True)

    inside("mount", "--bind", DATA, DATA)
    try:
        inside("mount", "-o", "remount,bind,ro", DATA)
        yield
    finally:
        inside("umount", DATA)


@contextlib.contextmanager
def of_limited_size(newcomer: Newcomer) -> Iterator[Path]:
    """Put a file system with little room in place of the volume, with what is on the volume, and yield its folder."""
    place = folder(newcomer)
    copy = place.with_name("copy")
    with scaled_down(newcomer, naming.SERVER):
        copy_all(place, copy)
        used = sum(each.stat().st_size for each in copy.rglob("*") if each.is_file()) >> 20
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + ROOM}m", "tmpfs", str(place)], check=True)
        copy_all(copy, place)
    try:
        yield place
    finally:
        with scaled_down(newcomer, naming.SERVER):
            shutil.rmtree(copy)
            copy_all(place, copy)
            subprocess.run(["umount", str(place)], check=True)
            for each in place.iterdir():
                each.unlink() if each.is_file() else shutil.rmtree(each)
            copy_all(copy, place)
            shutil.rmtree(copy)


def copy_all(source: Path, target: Path) -> None:
    """Copy what is in a folder, with its owners, and those of the folder."""
    subprocess.run(["cp", "--archive", "--no-target-directory", str(source), str(target)], check=True)


def test_a_run_lives_through_a_volume_that_is_read_only_and_the_server_is_ready_again_by_itself(
    newcomer: Newcomer,
) -> None:
    run = running(newcomer, "patient/one", "--param", "seconds=100")
    before = restarts(newcomer, naming.SERVER)
    with read_only(newcomer):
        assert until(lambda: not ready(newcomer), seconds=90, interval=1), "the server is ready without its volume"
    assert until(lambda: ready(newcomer), seconds=60, interval=1)
    assert restarts(newcomer, naming.SERVER) == before
    assert state(newcomer, run)[0] == "RUNNING"
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)


def test_a_run_lives_through_a_volume_that_is_full_and_the_server_is_ready_again_by_itself(newcomer: Newcomer) -> None:
    with of_limited_size(newcomer) as place:
        run = running(newcomer, "patient/one", "--param", "seconds=100")
        before = restarts(newcomer, naming.SERVER)
        filler = place / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        assert until(lambda: not ready(newcomer), seconds=90, interval=1), "the server is ready without room"
        filler.unlink()
        assert until(lambda: ready(newcomer), seconds=60, interval=1)
        assert restarts(newcomer, naming.SERVER) == before
        assert state(newcomer, run)[0] == "RUNNING"
        assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
