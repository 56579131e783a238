"""Which files of the result volume are deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ephemeral_dask.contract import results
from ops import result_retention
from ops.result_retention import Outcome
from tests.language import ROOT

NOW = 1_000_000_000.0


def file(path: Path, *, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10)
    os.utime(path, (NOW - age, NOW - age))
    return path


def delete(folder: Path, older_than: float = 100) -> Outcome:
    outcome = Outcome()
    result_retention.delete_older(folder, NOW - older_than, outcome)
    return outcome


def test_files_are_deleted_by_the_time_of_their_last_change(tmp_path: Path) -> None:
    old, new = file(tmp_path / "a" / "old", age=101), file(tmp_path / "new", age=99)
    outcome = delete(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
    assert (outcome.files, outcome.size, outcome.failures) == (1, 10, 0)


def test_old_empty_folders_are_deleted_and_new_or_filled_ones_are_not(tmp_path: Path) -> None:
    for name, age in (("empty", 101), ("new", 1), ("filled", 101)):
        (tmp_path / name).mkdir()
        if name == "filled":
            file(tmp_path / name / "result", age=1)
        os.utime(tmp_path / name, (NOW - age, NOW - age))
    delete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filled", "new"]


def test_the_folder_of_a_deployment_stays_when_its_files_are_deleted(tmp_path: Path) -> None:
    folder = tmp_path / results.folder("0198f0c4")
    old = file(folder / "result", age=101)
    os.utime(folder, (NOW - 101, NOW - 101))
    delete(tmp_path)
    assert (folder.is_dir(), old.exists()) == (True, False)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside = file(tmp_path / "outside" / "data", age=1000)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to(outside.parent)
    (volume / "file-link").symlink_to(outside)
    delete(volume)
    assert outside.exists()


def test_what_cannot_be_deleted_is_counted_and_the_rest_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [file(tmp_path / str(number), age=101) for number in range(30)]
    unlink = Path.unlink

    def refuse(path: Path, **options: bool) -> None:
        if path != files[0]:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    outcome = delete(tmp_path)
    assert (outcome.files, outcome.failures) == (1, 29)
    assert len(capsys.readouterr().err.splitlines()) == 20, "a line for each file would fill the log"


def test_a_file_that_a_run_deletes_meanwhile_does_not_count_as_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path) -> None:
        raise FileNotFoundError(2, "No such file", str(path))

    file(tmp_path / "a", age=101)
    monkeypatch.setattr(Path, "unlink", gone)
    assert delete(tmp_path).failures == 0


def test_the_command_runs_without_installed_packages(tmp_path: Path) -> None:
    file(tmp_path / "old", age=0)
    command = [sys.executable, "-S", "-m", "ops.result_retention", str(tmp_path), "--days", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Deleted 1 files of 0.0 MiB that were older than 30 days; 0 could not be deleted.")
    assert list(tmp_path.iterdir()) == []
