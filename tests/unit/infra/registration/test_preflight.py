from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.registration import kubernetes
from infra.registration.errors import UnreachableError
from infra.registration.preflight import DEFINITIONS, PreflightArgs, PreflightProvider, Seen, complaints

ARGS = PreflightArgs(
    namespace="flows",
    stack_annotation="ephemeral-dask/stack",
    stack="team/ephemeral-dask/dev",
    operator="install",
    operator_namespace=None,
    version_annotation="ephemeral-dask/dask-kubernetes",
    version="2026.3.0",
)
EXISTING = dataclasses.replace(ARGS, operator="existing", operator_namespace="dask")
OURS = {ARGS.stack_annotation: ARGS.stack}


def definitions(version: str | None = "2026.3.0") -> dict[str, dict[str, str]]:
    return {name: {} if version is None else {ARGS.version_annotation: version} for name in DEFINITIONS}


def operator(*command: str, namespace: str = "dask") -> tuple[str, str, tuple[str, ...]]:
    return (namespace, "dask-operator", ("kopf", "run", "-m", "dask_kubernetes.operator", *command))


@pytest.mark.parametrize(
    "seen",
    [
        Seen(),
        Seen(namespace=OURS, definitions=definitions()),
        # Ours and older is upgraded.
        Seen(namespace=OURS, definitions=definitions("2025.7.0")),
        Seen(definitions=definitions(), operators=(operator("--namespace=other"), operator("-n", "third"))),
        # The stack's own.
        Seen(namespace=OURS, definitions=definitions(), operators=(operator("--namespace=flows", namespace="flows"),)),
    ],
)
def test_a_cluster_with_nothing_in_the_way_is_not_complained_about(seen: Seen) -> None:
    assert complaints(ARGS, seen) == []


@pytest.mark.parametrize("annotations", [{}, {ARGS.stack_annotation: "team/ephemeral-dask/prod"}])
def test_a_namespace_that_is_not_ours_is_refused_with_the_way_to_hand_it_over(annotations: dict[str, str]) -> None:
    [text] = complaints(ARGS, Seen(namespace=annotations))
    assert "namespace 'flows'" in text
    assert "kubectl annotate --overwrite namespace flows ephemeral-dask/stack=team/ephemeral-dask/dev" in text


def test_definitions_of_somebody_else_are_refused_with_the_operator_that_could_be_used() -> None:
    [text] = complaints(ARGS, Seen(definitions=definitions(None)))
    assert "daskclusters.kubernetes.dask.org" in text
    assert "mode: existing" in text


def test_newer_definitions_are_refused_because_going_back_loses_fields() -> None:
    found = complaints(ARGS, Seen(definitions=definitions("2026.10.0")))
    assert len(found) == len(DEFINITIONS)
    assert "2026.10.0, newer than 2026.3.0" in found[0]


@pytest.mark.parametrize("command", [(), ("-A",), ("--namespace=flows",), ("-n", "flows")])
def test_an_operator_that_acts_on_the_namespace_already_is_refused(command: tuple[str, ...]) -> None:
    [text] = complaints(ARGS, Seen(definitions=definitions(), operators=(operator(*command),)))
    assert "dask/dask-operator acts on namespace 'flows' already" in text


def test_an_existing_operator_must_have_its_definitions_be_there_and_act_on_the_namespace() -> None:
    assert "has no daskautoscalers" in complaints(EXISTING, Seen())[0]
    assert (
        "no Dask operator runs there (found: nowhere)" in complaints(EXISTING, Seen(definitions=definitions(None)))[0]
    )
    bound = Seen(definitions=definitions(None), operators=(operator("--namespace=other"),))
    assert "does not act on namespace 'flows'" in complaints(EXISTING, bound)[0]
    assert complaints(EXISTING, Seen(definitions=definitions(None), operators=(operator(),))) == []


def props() -> dict[str, Any]:
    return {name: value for name, value in vars(ARGS).items() if value is not None}


def test_what_is_in_the_way_fails_the_check_and_so_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "look_around", lambda _namespace, _context: Seen(namespace={}))
    [failure] = PreflightProvider().check({}, props()).failures
    assert "exists already" in failure.reason


def test_a_cluster_that_does_not_answer_fails_no_preview(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(_namespace: str, _context: str | None) -> Seen:
        raise UnreachableError("Could not look", why="nobody answers", remedy="start it")

    monkeypatch.setattr(kubernetes, "look_around", silent)
    assert PreflightProvider().check({}, props()).failures == []
    assert "Not compared with the live cluster" in capsys.readouterr().err


def test_the_same_look_is_no_change() -> None:
    assert PreflightProvider().diff("flows", props(), {**props(), "__provider": "x"}).changes is False
    assert PreflightProvider().diff("flows", props(), {**props(), "version": "2027.1.0"}).changes is True
