from __future__ import annotations

import signal
import subprocess
import sys
import threading

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
"""


def test_sigterm_runs_the_clean_up_to_its_end_and_gives_the_exit_status_of_the_signal() -> None:
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGTERM)
        # The script sends itself another one meanwhile.
        assert running.stdout.read() == "cleaned up\n"
    assert running.returncode == 128 + signal.SIGTERM


def test_the_signal_has_its_old_meaning_after_the_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with termination_cleans_up():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_leaves_signals_alone() -> None:
    before, handlers = signal.getsignal(signal.SIGTERM), list[object]()

    def work() -> None:
        with termination_cleans_up():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]
