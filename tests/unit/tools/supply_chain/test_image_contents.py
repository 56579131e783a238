from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.settings import DockerBuild, FlowBuild, Prebuilt
from tools import image_size
from tools.errors import Problem
from tools.paths import ROOT
from tools.supply_chain import contents, dpkg

DIGEST = f"sha256:{'a' * 64}"
PYTHON = {
    "bomFormat": "CycloneDX",
    "components": [{"name": "dask", "version": "1", "description": "the whole line"}],
    "dependencies": [{"ref": "x"}],
    "metadata": {"tools": {}},
}


def test_a_document_is_about_the_image_and_lists_both_kinds_of_packages() -> None:
    debian = list(dpkg.components("Package: libc6\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n"))
    text = contents.document(PYTHON, debian, name="r/flow", version=DIGEST)
    whole = json.loads(text)
    assert [each["name"] for each in whole["components"]] == ["dask", "libc6"]
    assert whole["metadata"]["component"]["version"] == DIGEST
    assert "the whole line" not in text
    assert text == contents.document(PYTHON, debian, name="r/flow", version=DIGEST)


def test_each_image_is_listed_from_the_lock_that_it_was_built_from() -> None:
    image = DockerBuild(registry="r", flow=FlowBuild(requirements="jobs/lock.txt"))
    assert contents.lock(image, "flow") == ROOT / "jobs/lock.txt"
    assert contents.lock(image, "platform") == ROOT / "requirements/platform.txt"
    with pytest.raises(Problem, match=r"image\.builder is prebuilt"):
        contents.lock(Prebuilt(builder="prebuilt", flow=f"r/f@{DIGEST}", platform=f"r/p@{DIGEST}"), "flow")


def test_there_is_a_document_for_each_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = [image_size.Image(platform=name, layers=()) for name in ("linux/amd64", "linux/arm64")]
    monkeypatch.setattr(image_size, "measure", lambda _: images)
    monkeypatch.setattr(contents.locked_environment, "programs", lambda _: tmp_path)
    commands: list[Any] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return SimpleNamespace(returncode=0, stdout=json.dumps(PYTHON), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    documents = list(contents.documents(f"r/flow@{DIGEST}", tmp_path / "lock.txt"))
    assert [(each.platform, each.python, each.debian) for each in documents] == [
        ("linux/amd64", 1, 0),
        ("linux/arm64", 1, 0),
    ]
    [command] = commands
    assert str(tmp_path / "lock.txt") in command


def test_a_lock_that_cannot_be_read_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(contents.locked_environment, "programs", lambda _: tmp_path)
    answer = SimpleNamespace(returncode=2, stdout="", stderr="bad line")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(Problem, match=r"lock\.txt could not be read"):
        list(contents.documents(f"r/flow@{DIGEST}", tmp_path / "lock.txt"))
