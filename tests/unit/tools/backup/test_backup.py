"""Backup and restore with the programs of the pods as processes of this machine, on real files and databases."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sqlite3
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.backup import archive, stack
from tools.backup.pods import Kubectl, Program
from tools.backup.stack import Volume, Volumes, back_up, restore
from tools.engine.results import State
from tools.errors import Problem


class Cluster:
    """Two volumes as folders, and what was done with the server."""

    def __init__(self, folder: Path) -> None:
        self.data, self.results = folder / "data", folder / "results"
        for each in (self.data, self.results):
            each.mkdir()
        self.done: list[str] = []
        self.running = True
        self.available = True

    def program(self) -> Program:
        return Program(command=(sys.executable,), environment=os.environ)

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.data / "prefect.db")

    def runs(self) -> list[str]:
        with contextlib.closing(self.database()) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM flow_run ORDER BY name")]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(tmp_path)
    with contextlib.closing(cluster.database()) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('abc')")
        connection.execute("CREATE TABLE flow_run (name TEXT)")
        connection.execute("INSERT INTO flow_run VALUES ('happy-fox')")
    (cluster.results / "deep").mkdir()
    (cluster.results / "deep" / "result").write_bytes(os.urandom(3_000_000))
    (cluster.results / "again").hardlink_to(cluster.results / "deep" / "result")

    @contextlib.contextmanager
    def pod(_self: Kubectl, claim: str, _path: str, **options: Any) -> Iterator[Program]:
        assert cluster.running or claim == "prefect-server"
        cluster.done.append(f"pod with {claim}{' to read' if options['read_only'] else ''}")
        yield cluster.program()

    @contextlib.contextmanager
    def stopped(_self: Kubectl, deployment: str, _selector: str) -> Iterator[None]:
        cluster.done.append(f"stop {deployment}")
        cluster.running = False
        try:
            yield
        finally:
            cluster.running = True
            cluster.done.append(f"start {deployment}")

    def wait_until_available(_self: Kubectl, _selector: str) -> None:
        cluster.done.append("wait for the platform")
        if not cluster.available:
            raise Problem("timed out waiting for the condition", remedy="See kubectl get pods")

    monkeypatch.setattr(Kubectl, "program", lambda *_: cluster.program())
    monkeypatch.setattr(Kubectl, "wait_until_available", wait_until_available)
    monkeypatch.setattr(Kubectl, "pod", pod)
    monkeypatch.setattr(Kubectl, "stopped", stopped)
    monkeypatch.setattr(stack, "_DATABASE", str(cluster.data / "prefect.db"))
    monkeypatch.setattr(stack, "_COPY", str(tmp_path / "copy.db"))
    monkeypatch.setattr(stack, "_RESULTS", str(cluster.results))
    return cluster


VOLUMES = Volumes(
    database=Volume(namespace="flows", name="prefect-server"),
    results=Volume(namespace="flows-runs", name="results"),
    image="registry/platform@sha256:1",
    environment=os.environ,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_what_was_backed_up_is_there_again_after_a_restore(cluster: Cluster, tmp_path: Path) -> None:
    file, before = tmp_path / "backup.zip", contents(cluster.results)
    back_up("dev", VOLUMES, file)
    with contextlib.closing(cluster.database()) as connection, connection:
        connection.execute("DELETE FROM flow_run")
        connection.execute("INSERT INTO flow_run VALUES ('later')")
    for each in ("deep/result", "again"):
        (cluster.results / each).unlink()
    restore("dev", VOLUMES, file)
    assert cluster.runs() == ["happy-fox"]
    assert contents(cluster.results) == before
    assert cluster.done == [
        "pod with results to read",
        *("stop prefect-server", "pod with prefect-server", "start prefect-server"),
        "pod with results",
        "wait for the platform",
    ]


def test_a_platform_that_does_not_become_available_is_named_after_everything_is_restored(
    cluster: Cluster, tmp_path: Path
) -> None:
    file, before = tmp_path / "backup.zip", contents(cluster.results)
    back_up("dev", VOLUMES, file)
    (cluster.results / "again").unlink()
    cluster.available = False
    with pytest.raises(Problem, match="All data are restored, and the platform is not available again: timed out"):
        restore("dev", VOLUMES, file)
    assert contents(cluster.results) == before


def test_the_group_may_write_into_a_folder_that_a_restore_creates_if_it_could_before(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = cluster.results / "deployment-1"
    folder.mkdir()
    (folder / "result").write_bytes(b"1")
    folder.chmod(0o2775)
    back_up("dev", VOLUMES, tmp_path / "backup.zip")
    shutil.rmtree(folder)
    restore("dev", VOLUMES, tmp_path / "backup.zip")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2775


def test_a_backup_holds_what_a_writer_has_not_checkpointed_and_leaves_no_copy(cluster: Cluster, tmp_path: Path) -> None:
    writer = cluster.database()
    writer.execute("INSERT INTO flow_run VALUES ('sad-cat')")
    writer.commit()
    back_up("dev", VOLUMES, tmp_path / "backup.zip")
    writer.close()
    with archive.verified(tmp_path / "backup.zip") as file, file.open(archive.DATABASE) as source:
        (tmp_path / "copied.db").write_bytes(source.read())
    with contextlib.closing(sqlite3.connect(tmp_path / "copied.db")) as connection:
        assert ("sad-cat",) in connection.execute("SELECT name FROM flow_run").fetchall()
    assert not (tmp_path / "copy.db").exists()


def test_only_its_owner_may_read_a_backup_and_none_is_overwritten(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster
    file = tmp_path / "backup.zip"
    back_up("dev", VOLUMES, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(Problem, match="exists already"):
        back_up("dev", VOLUMES, file)


def test_a_backup_that_fails_leaves_no_file(cluster: Cluster, tmp_path: Path) -> None:
    (cluster.data / "prefect.db").unlink()
    with pytest.raises(Problem, match="no such table: alembic_version"):
        back_up("dev", VOLUMES, tmp_path / "backup.zip")
    assert list(tmp_path.glob("backup.zip*")) == []


def test_a_database_at_another_migration_is_refused_before_the_server_is_stopped(
    cluster: Cluster, tmp_path: Path
) -> None:
    back_up("dev", VOLUMES, tmp_path / "backup.zip")
    with contextlib.closing(cluster.database()) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'def'")
    with pytest.raises(Problem, match=r"at migration abc, and the server's at def"):
        restore("dev", VOLUMES, tmp_path / "backup.zip")
    assert "stop prefect-server" not in cluster.done


def test_a_damaged_backup_is_refused_before_anything_is_changed(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    back_up("dev", VOLUMES, file)
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    damaged = parts[archive.DATABASE]
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as copy:
        for name, data in {**parts, archive.DATABASE: damaged[:-1] + bytes([damaged[-1] ^ 1])}.items():
            copy.writestr(name, data)
    cluster.done.clear()
    with pytest.raises(Problem, match="does not have its checksum"):
        restore("dev", VOLUMES, tmp_path / "damaged.zip")
    (tmp_path / "other.zip").write_text("not a backup")
    with pytest.raises(Problem, match="cannot be read as a backup"):
        restore("dev", VOLUMES, tmp_path / "other.zip")
    assert cluster.done == []


def test_a_database_that_did_not_arrive_whole_replaces_nothing_and_the_server_starts_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "backup.zip"
    back_up("dev", VOLUMES, file)
    with archive.verified(file) as reader, reader.open(archive.DATABASE) as source:
        arguments = (str(cluster.data / "prefect.db"), "0" * 64, "abc")
        with pytest.raises(Problem, match="did not arrive as it was sent"):
            cluster.program().run("write-database", *arguments, source=source)
    assert cluster.runs() == ["happy-fox"]
    assert [each.name for each in cluster.data.glob("*.restored")] == []


def test_a_backup_with_a_part_that_the_stack_has_no_volume_for_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster
    back_up("dev", VOLUMES, tmp_path / "backup.zip")
    without = Volumes(database=VOLUMES.database, results=None, image="i", environment=os.environ)
    with pytest.raises(Problem, match=r"holds results.tar, and stack dev has no volume for it"):
        restore("dev", without, tmp_path / "backup.zip")
    nothing = Volumes(database=None, results=None, image="i", environment=os.environ)
    with pytest.raises(Problem, match="has no volume to back up"):
        back_up("dev", nothing, tmp_path / "other.zip")


def test_a_file_of_a_backup_cannot_leave_the_volume(cluster: Cluster, tmp_path: Path) -> None:
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    sha256 = hashlib.sha256(hostile.getvalue()).hexdigest()
    hostile.seek(0)
    with pytest.raises(Problem, match="escaped is not a file or folder inside the volume"):
        cluster.program().run("write-files", str(cluster.results), sha256, source=hostile)
    assert not (tmp_path / "escaped").exists()


def test_a_link_is_left_out_because_it_could_lead_out_of_the_volume(cluster: Cluster, tmp_path: Path) -> None:
    (cluster.results / "link").symlink_to("/etc/passwd")
    back_up("dev", VOLUMES, tmp_path / "backup.zip")
    with archive.verified(tmp_path / "backup.zip") as file, file.open(archive.RESULTS) as source:
        content = io.BytesIO(source.read())
    with tarfile.open(fileobj=content) as tar:
        assert tar.getnames() == ["again", "deep", "deep/result"]


def test_volumes_are_where_the_last_update_has_put_them() -> None:
    kind = "kubernetes:core/v1:PersistentVolumeClaim"
    claims = [
        {"urn": f"urn:pulumi:s::p::{kind}::{name}", "type": kind, "inputs": {"metadata": metadata}}
        for name, metadata in (
            ("prefect-server-volume", {"namespace": "flows", "name": "prefect-server"}),
            ("results-claim", {"namespace": "flows", "name": "results"}),
        )
    ]
    volumes = Volumes.of(State(resources=tuple(claims)), {"platformImage": "registry/platform"}, {})
    assert volumes.database == Volume(namespace="flows", name="prefect-server")
    assert volumes.results == Volume(namespace="flows", name="results")
    assert volumes.image == "registry/platform"
