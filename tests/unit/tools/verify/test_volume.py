from __future__ import annotations

import subprocess
from typing import Any

import pytest

from infra import settings
from tools import server_volume
from tools.verify import volume
from tools.verify.report import Row, Verdict, passed

IMAGE = {"builder": "docker-build", "registry": "r"}
GIBIBYTE = 1 << 30


def rows(monkeypatch: pytest.MonkeyPatch, answer: str, *, status: int = 0, error: str = "", **more: Any) -> list[Row]:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, status, answer, error)

    monkeypatch.setattr(subprocess, "run", run)
    parsed = settings.parse({"image": IMAGE, **more}, stack="dev")
    outcome = list(volume.rows(parsed, {}))
    if commands:
        assert commands[0][:5] == ["kubectl", "exec", "--namespace", "flows", "deployment/prefect-server"]
        assert commands[0][-2:] == ["--usage", "/data"]
    return outcome


def answer(share: float, problem: str = "") -> str:
    return f'{{"total": {GIBIBYTE}, "free": {int(GIBIBYTE * (1 - share))}, "problem": "{problem}"}}'


def test_a_volume_with_room_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = rows(monkeypatch, answer(0.25))
    assert row.verdict is Verdict.OK
    assert row.detail == "it is 25% full (768 MiB of 1024 MiB are free)"


def test_a_nearly_full_volume_is_a_warning_that_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = rows(monkeypatch, answer(0.9))
    assert row.verdict is Verdict.WARNING
    assert "prefect.database.storage" in row.remedy
    assert passed([row])


def test_a_volume_that_cannot_be_written_to_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = rows(monkeypatch, answer(1.0, "/data cannot be written to: No space left on device"))
    assert row.verdict is Verdict.FAILED
    assert "No space left on device" in row.detail


def test_a_user_who_may_not_ask_the_pod_gets_an_unknown_row(monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = rows(monkeypatch, "", status=1, error="warning\nError from server (Forbidden): no")
    assert row.verdict is Verdict.UNKNOWN
    assert "Error from server (Forbidden): no" in row.detail


def test_a_server_with_postgresql_has_no_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(monkeypatch, "", prefect={"mode": "embedded", "database": {"kind": "postgresql"}}) == []


def test_doctor_reports_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = server_volume.Usage(total=GIBIBYTE, free=0)
    full = server_volume.Volume(usage=usage, problem="")
    monkeypatch.setattr(server_volume, "read", lambda *_: full)
    [problem] = server_volume.problems(settings.parse({"image": IMAGE}, stack="dev"), {})
    assert "The volume of the Prefect server is 100% full" in str(problem)
