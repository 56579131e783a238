from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import pytest

from infra import settings
from tools import verbs
from tools.target import Target

UP = argparse.Namespace(stack="dev", cluster="local")


class Prepared:
    """A stack whose update is over."""

    changes: Mapping[str, int] = {}
    deployments: Mapping[str, str] = {verbs.SAMPLE: "an-id"}

    def __init__(self, name: str, _place: Target) -> None:
        self.name = name

    def prepare(self) -> None: ...

    def unlock(self) -> int:
        return 0

    def settle(self) -> list[str]:
        return []

    def up(self) -> Mapping[str, int]:
        return self.changes

    def outputs(self) -> dict[str, Any]:
        return {"prefectApiUrl": "a", "prefectUiUrl": "b", "deployments": self.deployments}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Deployments that were run; the run's outcome is its parameter."""
    place = Target(local=True, environment={}, overrides={})
    chosen = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")
    flows: list[str] = []
    monkeypatch.setattr(verbs, "Stack", Prepared)
    monkeypatch.setattr(verbs.examination, "refuse_bad_start", lambda *_, **__: None)
    monkeypatch.setattr(verbs, "_target", lambda *_, **__: place)
    monkeypatch.setattr(verbs, "_settings", lambda *_: chosen)
    monkeypatch.setattr(verbs, "_run", lambda _stack, _place, _settings, flow, _given: flows.append(flow) or False)
    return flows


def test_a_sample_run_that_fails_fails_make_up(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "changes", {"create": 35})
    assert verbs.up(UP) == 1
    assert ran == [verbs.SAMPLE]


def test_an_update_that_changed_nothing_runs_nothing(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "changes", {"same": 35})
    assert verbs.up(UP) == 0
    assert ran == []


def test_a_project_without_the_sample_flow_is_no_failure(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "changes", {"update": 1})
    monkeypatch.setattr(Prepared, "deployments", {"mine/nightly": "an-id"})
    assert verbs.up(UP) == 0
    assert ran == []


@pytest.mark.usefixtures("ran")
def test_a_summary_prints_the_plan_as_markdown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Prepared, "plan", lambda _: ([], None), raising=False)
    assert verbs.summary(UP) == 0
    assert "### Stack `dev`: nothing changes" in capsys.readouterr().out


@pytest.mark.usefixtures("ran")
def test_a_summary_of_a_preview_that_fails_says_why_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Prepared, "plan", lambda _: ([], "error: no such backend"), raising=False)
    assert verbs.summary(UP) == 1
    assert "error: no such backend" in capsys.readouterr().out


def test_a_summary_never_makes_a_stack_in_a_teams_backend(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Target(local=False, environment={}, overrides={})
    monkeypatch.setattr(verbs, "_target", lambda *_, **__: place)
    monkeypatch.setattr(Prepared, "exists", lambda _: False, raising=False)
    monkeypatch.setattr(Prepared, "prepare", lambda _: ran.append("made"))
    with pytest.raises(verbs.Problem, match="does not exist in the Pulumi backend"):
        verbs.summary(UP)
    assert ran == []
    assert "does not exist in the Pulumi backend" in capsys.readouterr().out
