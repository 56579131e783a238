from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.errors import Problem
from tools.screenshots import shots
from tools.screenshots.shots import Shot

SHOT = Shot(url="http://127.0.0.1/", path="picture.png", shows="text=Runs")


def environment(folder: Path, script: str) -> Path:
    """Make a folder with a `python` that is a shell script."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def test_the_browser_gets_what_to_take_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = environment(tmp_path, f'echo "$@" > {tmp_path}/arguments; cat > {tmp_path}/request')
    monkeypatch.setattr(shots.locked_environment, "programs", lambda _: programs)
    monkeypatch.setattr(shots, "browser", lambda: "/usr/bin/chromium")
    shots.take([SHOT], {"prefect-password": "c2VjcmV0"})
    request = json.loads((tmp_path / "request").read_text())
    assert request["browser"] == "/usr/bin/chromium"
    assert request["storage"] == {"prefect-password": "c2VjcmV0"}
    assert [shot["url"] for shot in request["shots"]] == [SHOT.url]
    assert "c2VjcmV0" not in (tmp_path / "arguments").read_text()


def test_a_page_that_does_not_come_up_is_a_problem_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = environment(tmp_path, "cat > /dev/null; echo 'Timeout 30000ms exceeded' >&2; exit 1")
    monkeypatch.setattr(shots.locked_environment, "programs", lambda _: programs)
    monkeypatch.setattr(shots, "browser", lambda: "chromium")
    with pytest.raises(Problem, match="could not be photographed") as raised:
        shots.take([SHOT])
    assert "Timeout 30000ms exceeded" in str(raised.value)


def test_a_machine_without_a_browser_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shots.shutil, "which", lambda _: None)
    with pytest.raises(Problem, match="apt-get install chromium"):
        shots.browser()
