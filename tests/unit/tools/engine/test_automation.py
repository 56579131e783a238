from __future__ import annotations

import signal

import pytest
from pulumi.automation import CommandResult
from pulumi.automation.errors import CommandError

from tools.engine import automation


def test_a_call_returns_what_it_computes() -> None:
    assert automation.finish(lambda: 3) == 3


def test_an_interrupted_call_is_finished_before_the_interrupt_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(automation, "say", lines.append)

    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        lines.append("finished")

    with pytest.raises(KeyboardInterrupt):
        automation.finish(call)
    assert lines[-1] == "finished"
    assert len(lines) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_command_that_the_interrupt_ended_is_an_interrupt_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automation, "say", lambda _: None)

    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        raise CommandError(CommandResult("", "error: update cancelled", 255))

    with pytest.raises(KeyboardInterrupt):
        automation.finish(call)


def test_a_command_that_fails_is_reported_by_what_it_wrote_to_standard_error() -> None:
    failure = CommandError(CommandResult("progress", "error: no such backend", 255))
    assert automation.output(failure) == "error: no such backend"
    assert automation.output(CommandError(CommandResult("only this", "", 1))) == "only this"
