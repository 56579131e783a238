from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools.cluster.termination import termination_cleans_up
from tools.paths import ROOT

SCRIPT = """
import os, signal, sys, time
from tools.cluster.termination import termination_cleans_up
with termination_cleans_up():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print("cleaned up", flush=True)
        open(sys.argv[1], "w").close()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_runs_the_clean_up_to_its_end_and_gives_its_exit_status(
    number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "cleaned-up")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(number)
        # The script sends itself another one meanwhile.
        assert running.stdout.read() == "cleaned up\n"
    assert running.returncode == 128 + number


def test_the_clean_up_reaches_its_end_when_the_terminal_is_closed(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "cleaned-up")]
    with subprocess.Popen(command, cwd=ROOT, stdin=its, stdout=its, stderr=its) as running:
        os.close(its)
        assert os.read(ours, 100).startswith(b"begun")
        os.close(ours)
        running.send_signal(signal.SIGHUP)  # as a shell does
    assert running.returncode == 128 + signal.SIGHUP
    assert (tmp_path / "cleaned-up").exists()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    script = """
import os, signal
from tools.cluster.termination import termination_cleans_up
with termination_cleans_up():
    os.kill(os.getpid(), signal.SIGHUP)
"""
    done = subprocess.run(["nohup", sys.executable, "-c", script], cwd=ROOT, check=False, stdout=subprocess.PIPE)
    assert done.returncode == 0


def test_the_signals_have_their_old_meaning_after_the_block() -> None:
    def meanings() -> list[object]:
        return [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]

    before = meanings()
    with termination_cleans_up():
        assert not set(map(id, meanings())) & set(map(id, before))
    assert meanings() == before


def test_another_thread_leaves_signals_alone() -> None:
    before, handlers = signal.getsignal(signal.SIGTERM), list[object]()

    def work() -> None:
        with termination_cleans_up():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]
