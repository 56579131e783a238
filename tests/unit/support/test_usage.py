"""What the benchmarks say a command uses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.usage import measure

BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_processes_that_a_command_leaves_behind_are_counted(tmp_path: Path) -> None:
    leave = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY!r}])\n"
    usage = measure([sys.executable, "-c", leave], folder=tmp_path, environment=os.environ, scratch=tmp_path)
    assert usage.processor >= 0.3


def test_a_command_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3: last words"):
        measure(["sh", "-c", "echo last words; exit 3"], folder=tmp_path, environment=os.environ, scratch=tmp_path)
