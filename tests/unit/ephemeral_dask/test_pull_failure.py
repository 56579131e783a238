from __future__ import annotations

import asyncio
import subprocess
import tomllib
from typing import Any

import pytest

from ephemeral_dask import prefect_plugin, pull_failure, pull_steps
from ephemeral_dask.contract.environment import PLUGIN
from tools.paths import ROOT

CLONE = "prefect.deployments.steps.git_clone"
NETWORK = "check the address, and whether the stack's network.data lets flow pods connect to it"
STEP = "check repository, branch and credentials of the step in prefect.yaml"


def caused(error: Exception, stderr: bytes) -> Exception:
    error.__cause__ = subprocess.CalledProcessError(128, ["git"], stderr=stderr)
    return error


@pytest.mark.parametrize(
    ("inputs", "error", "sentence"),
    [
        (
            {"repository": "https://git.example.com/flows.git"},
            RuntimeError(
                "Failed to clone. git stderr: Cloning into x... | fatal: Could not resolve host: git.example.com"
            ),
            f"(https://git.example.com/flows.git) failed: Could not resolve host: git.example.com; {NETWORK}",
        ),
        (
            {"repository": "https://me:TOKEN@git.example.com/flows.git", "commit_sha": "ab12"},
            RuntimeError("clone\nhttps://me:TOKEN@git.example.com/flows."),
            f"(commit ab12 of https://git.example.com/flows.git) failed: clone https://git.example.com/flows; {STEP}",
        ),
        (
            {"repository": "git@git.example.com:acme/flows.git", "branch": "main"},
            caused(RuntimeError("Failed. Hint: Verify."), b"warning\nfatal: Remote branch main not found\nbye"),
            f"(branch main of git@git.example.com:acme/flows.git) failed: Remote branch main not found; {STEP}",
        ),
        ({}, ValueError(""), f" failed: ValueError; {STEP}"),
        (None, TypeError("no inputs"), f" failed: no inputs; {STEP}"),
    ],
)
def test_a_failed_clone_names_repository_and_cause(inputs: Any, error: Exception, sentence: str) -> None:
    text = pull_failure.sentence({CLONE: inputs}, error)
    assert text == f"Pull step git_clone{'' if sentence.startswith(' ') else ' '}{sentence}"
    assert "TOKEN" not in text


def test_the_error_of_another_step_that_may_repeat_a_secret_is_not_repeated() -> None:
    step = {"acme.steps.fetch": {"url": "https://example.com", "header": "{{ prefect.blocks.secret.key }}"}}
    text = pull_failure.sentence(step, RuntimeError("bad header TOKEN"))
    assert text == (
        "Pull step fetch (https://example.com) failed: it raised RuntimeError; correct the step in prefect.yaml; the"
        " log of the run's pod has more"
    )
    step = {"acme.steps.fetch": {"url": "https://example.com"}}
    assert "bad header" in pull_failure.sentence(step, RuntimeError("bad header"))


def test_a_reason_is_short() -> None:
    assert len(pull_failure.sentence({CLONE: {}}, RuntimeError("x" * 5000))) < 500


def test_the_plugin_is_an_entry_point_of_the_package() -> None:
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["prefect.plugins"]
    assert entries == {PLUGIN: prefect_plugin.__name__}


def test_a_step_that_succeeds_is_not_reported_and_one_that_fails_still_raises_where_prefect_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run_step(step: dict[str, Any], fails: bool) -> dict[str, Any]:
        if fails:
            raise RuntimeError("no way")
        return {"directory": step["name"]}

    run = pull_steps.reporting(run_step)
    assert asyncio.run(run({"name": "x"}, fails=False)) == {"directory": "x"}
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    with pytest.raises(RuntimeError, match="no way"):
        asyncio.run(run({CLONE: {}}, fails=True))
