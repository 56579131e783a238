"""Flows with classes, relative imports and data files, in both forms of an entrypoint and both ways to register."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ended, logged

REPORT = {"countries": ["FR", "DE"]}


@pytest.mark.parametrize(
    ("deployment", "parameters", "result"),
    # Each flow in each form runs in tests/engine/test_entrypoints.py.
    [("sales/by-file", {"report": REPORT}, "12"), ("monthly/by-module", {}, "2")],
)
def test_a_flow_with_classes_runs_on_dask_in_both_forms_of_its_entrypoint(
    deployment: str, parameters: Mapping[str, Any], result: str, newcomer: Newcomer
) -> None:
    done = newcomer.make("run", f"FLOW={deployment}", f"PARAMS={json.dumps(parameters)}")
    assert done.status == 0, done.progress
    assert f"result: {result}" in done.output + done.progress


def test_a_run_of_what_prefects_own_deploy_registered_completes_and_the_stack_takes_it_back(newcomer: Newcomer) -> None:
    deployed = newcomer.shell(".venv/bin/prefect --no-prompt deploy --all")
    assert deployed.status == 0, deployed.progress
    run = newcomer.start("sales/by-module", "--param", f"report={json.dumps(REPORT)}")
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    again = newcomer.make("up")
    assert again.status == 0, again.progress


@pytest.fixture
def edited(newcomer: Newcomer) -> Iterator[Path]:
    """Change one line of a flow for one test."""
    file = newcomer.clone / "flows" / "sales.py"
    text = file.read_text()
    file.write_text(f"{text}\n# One more line.\n")
    yield file
    file.write_text(text)


@pytest.mark.usefixtures("edited")
def test_a_change_of_one_flow_announces_nothing_of_the_platform(newcomer: Newcomer) -> None:
    done = newcomer.shell("pulumi preview --json --non-interactive")
    assert done.status == 0, done.progress
    steps = [step for step in json.loads(done.output)["steps"] if step["op"] != "same"]
    changed = {step["urn"].rpartition("::")[2] for step in steps}
    assert "image-flow" in changed
    assert not {name for name in changed if "platform" in name}
    kinds = {step["urn"].rpartition("::")[0].rpartition("$")[2] for step in steps}
    assert not {kind for kind in kinds if kind.startswith("kubernetes:")}, changed
