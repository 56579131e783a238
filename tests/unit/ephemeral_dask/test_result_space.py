from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ephemeral_dask import result_space
from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract.volumes import Usage


def warning(folder: Path, share: float, monkeypatch: pytest.MonkeyPatch) -> str:
    usage = Usage(total=1000 << 20, free=int((1 - share) * 1000) << 20)
    monkeypatch.setattr(Usage, "of", classmethod(lambda _cls, _folder: usage))
    return result_space.warning({env.RESULTS_PATH: str(folder)})


def test_a_nearly_full_volume_is_named_in_the_log_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = warning(tmp_path, 0.95, monkeypatch)
    assert "is 95% full (50 MiB of 1000 MiB are free)" in text
    assert "results.keepDays" in text


def test_a_volume_with_room_and_a_run_without_one_get_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert warning(tmp_path, 0.5, monkeypatch) == ""
    assert result_space.warning({}) == ""


def test_a_volume_that_does_not_answer_is_left_to_the_tasks(tmp_path: Path) -> None:
    assert result_space.warning({env.RESULTS_PATH: str(tmp_path / "missing")}) == ""


def test_blocks_that_are_reserved_for_root_are_neither_used_nor_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = SimpleNamespace(f_frsize=4096, f_blocks=1000, f_bfree=700, f_bavail=100)
    monkeypatch.setattr(os, "statvfs", lambda _: blocks)
    usage = Usage.of(tmp_path)
    assert (usage.total, usage.free, usage.is_nearly_full) == (400 * 4096, 100 * 4096, False)
