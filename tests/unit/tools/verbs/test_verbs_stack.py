from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from infra import settings
from infra.specs.deployment import DeploymentSpec
from infra.validation import Plan
from tools.engine.results import Preview, State, Update
from tools.errors import Problem
from tools.target import Target
from tools.verbs import stack as verbs
from tools.verbs.common import Selection

ARGUMENTS = argparse.Namespace(stack="dev", cluster="local")
OUTPUTS = {"prefectApiUrl": "http://server/api", "prefectUiUrl": "http://127.0.0.1:4200"}
SETTINGS = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")
UP = State(resources=({"type": "pulumi:pulumi:Stack", "outputs": {"contract": 1}},))


def event(**content: Any) -> EngineEvent:
    return EngineEvent.from_json(content)


class Prepared:
    """A stack whose operations are over at once."""

    name = "dev"
    before = UP
    events: tuple[EngineEvent, ...] = (event(summaryEvent={"resourceChanges": {"same": 43}}),)
    plan = Preview(events=())

    def prepare(self) -> None: ...

    def unlock(self) -> int:
        return 0

    def settle(self) -> State:
        return self.before

    def up(self, on_event: Callable[[EngineEvent], None], _: object) -> Update:
        for each in self.events:
            on_event(each)
        return Update(events=self.events, outputs=OUTPUTS)

    def preview(self) -> Preview:
        return self.plan

    def exists(self) -> bool:
        return False


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Prepared:
    stack = Prepared()
    place = Target(cluster="local", environment={}, overrides={})
    selection = Selection(stack=stack, target=place, settings=SETTINGS)  # type: ignore[arg-type]
    monkeypatch.setattr("tools.doctor.refuse_bad_start", lambda *_, **__: None)
    monkeypatch.setattr(verbs, "select", lambda *_, **__: selection)
    monkeypatch.setattr(verbs, "wait_for_server", lambda _: None)
    declare(monkeypatch, DeploymentSpec(name="b", flow_name="a", entrypoint="flows.a.a", tags=("example",)))
    return stack


def declare(monkeypatch: pytest.MonkeyPatch, *specs: DeploymentSpec) -> None:
    plan = Plan(settings=SETTINGS, deployments={"dask": specs})
    monkeypatch.setattr("tools.stackfile.load_plan", lambda *_: plan)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sample runs, which all fail."""
    runs: list[str] = []

    def follow(_: Selection, deployment: str) -> int:
        runs.append(deployment)
        return 1

    monkeypatch.setattr("tools.verbs.demo.follow", follow)
    return runs


def test_the_sample_runs_on_the_first_update_and_its_failure_is_that_of_make_up(
    prepared: Prepared, runs: list[str]
) -> None:
    prepared.before = State(resources=())
    assert verbs.up(ARGUMENTS) == 1
    assert runs == ["a/b"]


def test_the_sample_does_not_run_on_a_stack_that_was_up(
    prepared: Prepared, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    prepared.events = (event(summaryEvent={"resourceChanges": {"create": 1, "same": 43}}),)
    assert verbs.up(ARGUMENTS) == 0
    assert runs == []
    assert "1 created, 43 unchanged" in capsys.readouterr().err


@pytest.mark.usefixtures("runs")
def test_an_unchanged_stack_is_at_most_twelve_lines(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared
    assert verbs.up(ARGUMENTS) == 0
    printed = capsys.readouterr()
    assert len((printed.err + printed.out).splitlines()) <= 12
    assert "nothing changed in 43 resources" in printed.err
    assert "make run FLOW=a/b" in printed.err


def test_a_project_without_the_sample_runs_nothing_and_names_its_first_deployment(
    prepared: Prepared, runs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared.before = State(resources=())
    declare(monkeypatch, DeploymentSpec(name="nightly run", flow_name="mine", entrypoint="flows.a.a"))
    assert verbs.up(ARGUMENTS) == 0
    assert runs == []
    assert "make run FLOW='mine/nightly run'" in capsys.readouterr().err


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("name", ["it's", "a;b $HOME", "日本 🙂", "(all)", "a`b`"])
def test_the_next_step_can_be_pasted_into_a_shell(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    prepared.before = State(resources=())
    declare(monkeypatch, DeploymentSpec(name=name, flow_name="mine", entrypoint="flows.a.a"))
    assert verbs.up(ARGUMENTS) == 0
    line = next(line for line in capsys.readouterr().err.splitlines() if "make run" in line)
    command = line.partition("make run ")[2].partition("   runs")[0]
    printed = subprocess.run(["sh", "-c", f"printf '<%s>' {command}"], capture_output=True, text=True, check=True)
    assert printed.stdout == f"<FLOW=mine/{name}>"


@pytest.mark.usefixtures("runs")
def test_next_steps_name_the_stack_when_it_is_not_the_default(
    prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared.name = "prod"
    verbs.up(argparse.Namespace(stack="prod", cluster="existing"))
    assert "make run FLOW=a/b STACK=prod CLUSTER=existing" in capsys.readouterr().err


def test_preview_and_summary_print_the_same_page(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared
    assert verbs.preview(ARGUMENTS) == 0
    page = capsys.readouterr().out
    assert verbs.summarize(ARGUMENTS) == 0
    assert capsys.readouterr().out == page
    assert "### Stack `dev`: nothing changes" in page


def test_a_summary_of_a_preview_that_fails_says_why_and_fails(
    prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared.plan = Preview(events=(), error="error: no such backend")
    assert verbs.summarize(ARGUMENTS) == 1
    assert "error: no such backend" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [verbs.preview, verbs.summarize])
def test_a_preview_never_creates_a_stack_in_a_teams_backend(
    verb: Callable[[argparse.Namespace], int], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Target(cluster="existing", environment={}, overrides={})
    selection = Selection(stack=prepared, target=place, settings=SETTINGS)  # type: ignore[arg-type]
    monkeypatch.setattr(verbs, "select", lambda *_, **__: selection)
    monkeypatch.setattr(verbs, "wait_for_server", lambda _: None)
    monkeypatch.setattr(Prepared, "prepare", lambda _: pytest.fail("it was created"))
    with pytest.raises(Problem, match="does not exist in the Pulumi backend"):
        verb(ARGUMENTS)
