from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra import settings
from infra.validation import Plan
from tools import compatibility, doctor, targets
from tools.errors import Problem
from tools.paths import ROOT
from tools.target import Target
from tools.targets.existing import Existing

SETTINGS = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")
PROBLEM = Problem("Deployment prefect-server is scaled to 0 replicas", remedy="make up restores it")


class Named:
    """A stack, and the outputs of its last update."""

    outputs_of_last_update: Mapping[str, Any] = {"contract": 1}

    def __init__(self, name: str, _: Target) -> None:
        self.name = name

    def exists(self) -> bool:
        return True

    def outputs(self) -> Mapping[str, Any]:
        return self.outputs_of_last_update


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything before the stack be in order."""
    place = Target(cluster="existing", environment={}, overrides={})
    monkeypatch.setattr(doctor, "preconditions", lambda *_, **__: [("this machine", list)])
    monkeypatch.setattr(Existing, "target", lambda _: place)
    monkeypatch.setattr("tools.stackfile.read", lambda _: {})
    monkeypatch.setattr("tools.stackfile.check", lambda *_: SETTINGS)
    monkeypatch.setattr("tools.stackfile.load_plan", lambda *_: Plan(settings=SETTINGS, deployments={}))
    monkeypatch.setattr(doctor, "Stack", Named)
    monkeypatch.setattr("tools.checkup.checks", lambda *_: [("pods", list), ("Prefect API", list)])


def test_a_stack_that_works_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.report("dev", requested="existing") == 0
    titles = ["this machine", "packages of the flow images are tested", "pods", "Prefect API"]
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "   -  cluster existing, because CLUSTER=existing says so"
    assert lines == [f"  ok  {title}" for title in titles]


def test_a_package_that_is_not_tested_fails_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = compatibility.read(SETTINGS, ROOT)
    flows = {file: {**lock, "prefect": "3.99.0"} for file, lock in locks.flows.items()}
    monkeypatch.setattr("tools.compatibility.read", lambda *_: replace(locks, flows=flows))
    assert doctor.report("dev", requested="existing") == 1
    printed = capsys.readouterr().out
    assert "  no  packages of the flow images are tested\n      requirements/flows.txt has prefect 3.99.0" in printed
    assert "  ok  Prefect API" in printed


def test_packages_that_cannot_work_together_are_refused_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locks = compatibility.read(SETTINGS, ROOT)
    flows = {file: {**lock, "distributed": "2026.8.1"} for file, lock in locks.flows.items()}
    monkeypatch.setattr("tools.compatibility.read", lambda *_: replace(locks, flows=flows))
    [problem] = doctor._packages("dev", targets.named("local", "dev"))
    assert "distributed 2026.8.1, which are released together" in str(problem)


def test_one_failed_check_fails_the_verb_and_the_others_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.checkup.checks", lambda *_: [("pods", lambda: [PROBLEM]), ("Prefect API", list)])
    assert doctor.report("dev", requested="existing") == 1
    printed = capsys.readouterr().out
    assert "  no  pods\n      Deployment prefect-server is scaled to 0 replicas. make up restores it." in printed
    assert "  ok  Prefect API" in printed


def test_a_check_that_cannot_be_made_is_a_failed_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> list[Problem]:
        raise PROBLEM

    monkeypatch.setattr("tools.checkup.checks", lambda *_: [("pods", fail)])
    assert doctor.report("dev", requested="existing") == 1
    assert "  no  pods" in capsys.readouterr().out


def test_a_stack_that_was_never_up_is_named_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Named, "outputs_of_last_update", {})
    assert doctor.report("prod", requested="existing") == 0
    assert "   -  stack 'prod' is not up; bring it up: make up STACK=prod" in capsys.readouterr().out


def test_a_stack_is_not_looked_at_on_a_machine_that_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "preconditions", lambda *_, **__: [("this machine", lambda: [PROBLEM])])
    monkeypatch.setattr(doctor, "Stack", lambda *_: pytest.fail("the stack was looked at"))
    assert doctor.report("dev", requested="existing") == 1
    assert "pods" not in capsys.readouterr().out
