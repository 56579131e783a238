from __future__ import annotations

import pytest

from tools.engine.results import State
from tools.errors import Problem
from tools.verbs import data


def claim(name: str, own: str) -> dict[str, object]:
    spec = {"resources": {"requests": {"storage": "1Gi"}}}
    kind = "kubernetes:core/v1:PersistentVolumeClaim"
    return {
        "urn": f"urn:pulumi:dev::p::{kind}::{name}",
        "type": kind,
        "inputs": {"metadata": {"name": own, "namespace": "flows"}, "spec": spec},
    }


STATE = State(resources=(claim("prefect-server-volume", "prefect-server"), claim("results-claim", "results")))


def never(_: str) -> str:
    raise AssertionError("this must not be asked")


def test_the_question_names_every_volume_and_what_is_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    questions: list[str] = []

    def agree(question: str) -> str:
        questions.append(question)
        return "y"

    data.confirm("dev", STATE, yes=False, ask=agree)
    assert "history of all runs (volume flows/prefect-server, 1Gi)" in questions[0]
    assert "task results (volume flows/results, 1Gi)" in questions[0]


@pytest.mark.parametrize("answer", ["", "n", "dev"])
def test_nothing_is_destroyed_without_a_yes(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with pytest.raises(Problem, match="was not destroyed"):
        data.confirm("dev", STATE, yes=False, ask=lambda _: answer)


def test_without_a_terminal_data_is_not_destroyed_and_the_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(Problem, match="make down STACK=dev YES=1") as caught:
        data.confirm("dev", STATE, yes=False, ask=never)
    assert "flows/results" in str(caught.value)


def test_an_agreement_in_advance_and_a_stack_without_data_are_not_asked_about() -> None:
    data.confirm("dev", STATE, yes=True, ask=never)
    data.confirm("dev", State(resources=()), yes=False, ask=never)
