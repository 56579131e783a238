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
    monkeypatch.setattr(verbs, "_run", lambda _place, _settings, flow, _given: flows.append(flow) or False)
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
