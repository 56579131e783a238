from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.cluster.wait import until
from tools.laptop import server
from tools.laptop.group import group

STARTS_ANOTHER = """
import signal, subprocess, sys, time
{deaf}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("deaf", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_the_end_of_a_block_ends_what_a_process_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    monkeypatch.setattr("tools.laptop.group.GRACE", 0.5)
    command = [sys.executable, "-c", STARTS_ANOTHER.format(deaf=deaf)]
    with group(command, folder=tmp_path, environment=os.environ, output=subprocess.PIPE, end=signal.SIGTERM) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert lives(child)
    assert process.returncode is not None
    assert until(lambda: not lives(child), seconds=10)


def test_ctrl_c_of_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    began = time.monotonic()
    with group(command, folder=tmp_path, environment=os.environ, output=subprocess.PIPE, end=signal.SIGKILL) as process:
        assert os.getpgid(process.pid) != os.getpgid(0)
    assert time.monotonic() - began < 10


def test_the_persons_own_prefect_is_neither_used_nor_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_HOME"):
        monkeypatch.setenv(name, "theirs")
    variables = server.environment(tmp_path)
    assert variables["PREFECT_HOME"] == str(tmp_path)
    assert "theirs" not in variables.values()


def test_a_server_of_another_program_on_the_port_is_not_taken_for_the_own_one() -> None:
    code = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler); print(s.server_port)"
    command = [sys.executable, "-u", "-c", f"{code}; s.serve_forever()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server, "_answers", lambda _: True)
            assert server._serves(other.pid, port)
            assert not server._serves(other.pid, port + 1)
            other.kill()
            other.wait()
            assert not server._serves(other.pid, port)


def test_a_port_that_is_taken_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket  # noqa: PLC0415

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr("infra.naming.SERVER_PORT", other.getsockname()[1])
        assert server._port() != other.getsockname()[1]
