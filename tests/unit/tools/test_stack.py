from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools.errors import Problem
from tools.stack import Stack
from tools.target import Target


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    environment = {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    return Stack("dev", Target(cluster="local", environment=environment, overrides={}))


def lock(backend: Path, *, pid: int, host: str | None = None, stack: str = "dev") -> Path:
    folder = backend / ".pulumi" / "locks" / "organization" / "ephemeral-dask" / stack
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "4f1c.json"
    content = {"pid": pid, "username": "somebody", "hostname": host or socket.gethostname(), "timestamp": "2026-01-01"}
    path.write_text(json.dumps(content))
    return path


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_whose_process_is_gone_is_cleared(stack: Stack, tmp_path: Path) -> None:
    path = lock(tmp_path, pid=ended())
    assert stack.unlock() == 1
    assert not path.exists()


def test_a_lock_whose_process_lives_stays_and_is_named(stack: Stack, tmp_path: Path) -> None:
    path = lock(tmp_path, pid=os.getpid())
    with pytest.raises(Problem, match=f"is being changed by process {os.getpid()}"):
        stack.unlock()
    assert path.exists()


def test_a_lock_of_another_machine_is_never_cleared(stack: Stack, tmp_path: Path) -> None:
    path = lock(tmp_path, pid=ended(), host="elsewhere")
    with pytest.raises(Problem, match="on elsewhere"):
        stack.unlock()
    assert path.exists()


def test_another_stacks_lock_is_left_alone(stack: Stack, tmp_path: Path) -> None:
    path = lock(tmp_path, pid=ended(), stack="prod")
    assert stack.unlock() == 0
    assert path.exists()
