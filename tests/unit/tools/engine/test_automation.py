from __future__ import annotations

import os
import signal
import threading

import pytest

from tools.engine import automation


def test_a_call_returns_what_it_computes() -> None:
    assert automation.finish(lambda: 3) == 3


def test_an_interrupted_call_is_finished_before_the_interrupt_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    announced, finished = threading.Event(), threading.Event()
    monkeypatch.setattr(automation, "say", lambda _: announced.set())

    def call() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert announced.wait(30)
        finished.set()

    with pytest.raises(KeyboardInterrupt):
        automation.finish(call)
    assert finished.is_set()
