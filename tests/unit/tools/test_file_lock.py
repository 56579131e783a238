"""The lock between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.file_lock import locked
from tools.paths import ROOT

HOLDER = """
import sys
from pathlib import Path
from tools.file_lock import locked
with locked(Path(sys.argv[1]), "holds the lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], cwd=ROOT, text=True, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with locked(lock, "tests"):
        assert lock.read_text() == f"process {os.getpid()}"


def test_a_waiting_process_names_the_holder_and_its_purpose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with locked(lock, "tests"):
        waiting = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert waiting.stderr is not None
        assert f"waiting for process {os.getpid()}, which holds the lock" in waiting.stderr.readline()
    output, _ = waiting.communicate(timeout=60)
    assert output == "held\n"
    assert capsys.readouterr().err == ""
