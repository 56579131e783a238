from __future__ import annotations

import threading

import pytest

from tools import progress


def test_a_log_gets_a_line_of_a_long_step_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT", 0.01)
    described = threading.Semaphore(0)

    def describe() -> str:
        described.release()
        return "building image-flow 31 s"

    with progress.status(describe):
        # The second call comes after the first line was printed.
        assert described.acquire(timeout=30)
        assert described.acquire(timeout=30)
    assert "    building image-flow 31 s\n" in capsys.readouterr().err


def test_inside_a_status_only_the_outer_one_is_shown() -> None:
    with progress.status(lambda: ""), progress.status(lambda: pytest.fail("it was asked")):
        pass


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (12.3, "12 s"), (270, "4 min 30 s"), (59.7, "1 min 00 s")]
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
