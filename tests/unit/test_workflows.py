from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.paths import ROOT
from tools.summary.markdown import marker
from tools.toolchain.pins import pinned

FOLDER = ROOT / ".github" / "workflows"
FILES = [pytest.param(path, id=path.stem) for path in sorted(FOLDER.glob("*.yml"))]


def read(path: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return content


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(read(path)["jobs"].values())


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path) for step in job.get("steps", [])]


def triggers(path: Path) -> set[str]:
    # YAML 1.1 takes `on` for a yes.
    return set(read(path)[True])


STACKS = [FOLDER / "preview.yml", FOLDER / "deploy.yml"]
"""The workflows that work on stacks."""


def test_there_are_tests_a_preview_and_a_deployment() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {"ci", "preview", "deploy"}


@pytest.mark.parametrize("path", FILES)
def test_every_action_is_pinned_by_a_whole_commit_and_names_its_release(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    named = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", path.read_text(), re.MULTILINE)
    assert used
    assert named == used


def test_an_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for path in FOLDER.glob("*.yml") for step in steps(path) if "uses" in step}
    assert len(used) == len({name.partition("@")[0] for name in used})


@pytest.mark.parametrize("path", FILES)
def test_no_job_may_do_more_than_it_needs(path: Path) -> None:
    assert read(path)["permissions"] == {}
    allowed = {"contents": "read"} | ({"pull-requests": "write"} if path.stem == "preview" else {})
    assert all(job["permissions"] == allowed for job in jobs(path))


@pytest.mark.parametrize("path", FILES)
def test_code_from_a_fork_never_meets_a_secret(path: Path) -> None:
    assert triggers(path) <= {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
    if "pull_request" in triggers(path):
        same = "github.event.pull_request.head.repo.full_name == github.repository"
        merged = "github.ref == 'refs/heads/main' && (github.event_name == 'push' || "
        with_secrets = [job for job in jobs(path) if "secrets" in str(job)]
        assert all(job["if"] == same or job["if"].startswith(merged) for job in with_secrets)


def test_every_pull_request_runs_the_tiers_that_need_no_cluster_and_every_night_those_that_do() -> None:
    ci = FOLDER / "ci.yml"
    assert {"pull_request", "push", "schedule"} <= triggers(ci)
    assert read(ci)["jobs"]["test"]["strategy"]["matrix"]["tier"] == ["lint", "unit", "engine"]
    assert "if" not in read(ci)["jobs"]["test"]
    assert "schedule" in read(ci)["jobs"]["e2e"]["if"]


def test_a_deployment_starts_only_after_the_tests_of_its_commit() -> None:
    assert triggers(FOLDER / "deploy.yml") == {"workflow_call"}
    deploy = read(FOLDER / "ci.yml")["jobs"]["deploy"]
    assert deploy["needs"] == "test"
    assert deploy["uses"] == "./.github/workflows/deploy.yml"


def test_a_newer_commit_ends_the_tests_of_a_pull_request_and_never_those_of_main() -> None:
    rule = read(FOLDER / "ci.yml")["concurrency"]
    assert rule["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "${{ github.ref }}" in rule["group"]


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_one_run_at_a_time_changes_a_stack_and_none_is_cut_off(path: Path) -> None:
    for job in jobs(path):
        rule = job["concurrency"]
        assert "${{ matrix.stack }}" in rule["group"]
        assert rule["cancel-in-progress"] is (path.stem == "preview")
        assert job["timeout-minutes"]


def test_a_preview_never_pushes_a_deployment_out_of_the_queue() -> None:
    groups = [job["concurrency"]["group"].split("$")[0] for path in STACKS for job in jobs(path)]
    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("path", FILES)
def test_what_comes_from_outside_reaches_a_script_as_a_variable_and_never_as_its_text(path: Path) -> None:
    assert all("${{" not in step.get("run", "") for step in steps(path))


@pytest.mark.parametrize("path", FILES)
def test_a_secret_is_given_to_single_steps_and_the_checkout_keeps_no_token(path: Path) -> None:
    assert all("env" not in job for job in jobs(path))
    assert "env" not in read(path)
    checkout = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout
    assert all(step["with"] == {"persist-credentials": False} for step in checkout)


@pytest.mark.parametrize("path", FILES)
def test_the_code_of_a_pull_request_runs_without_the_token_that_may_comment(path: Path) -> None:
    for step in steps(path):
        if "github.token" in str(step):
            assert "make" not in step["run"]


@pytest.mark.parametrize("path", FILES)
def test_pulumi_has_the_version_of_the_python_package(path: Path) -> None:
    versions = [step["with"]["pulumi-version"] for step in steps(path) if "pulumi/actions" in step.get("uses", "")]
    assert versions == [pinned("pulumi")]


def test_both_work_on_the_same_stacks_and_each_has_its_file() -> None:
    stacks = [job["strategy"]["matrix"]["stack"] for path in STACKS for job in jobs(path)]
    assert all(each == stacks[0] for each in stacks)
    assert all((ROOT / f"Pulumi.{name}.yaml").exists() for name in stacks[0])


def test_a_deployment_undoes_edits_from_outside() -> None:
    [step] = [step for step in steps(FOLDER / "deploy.yml") if step.get("with", {}).get("command") == "up"]
    assert step["with"]["refresh"] is True


def test_the_comment_is_found_again_by_the_mark_of_the_summary() -> None:
    script = "".join(step.get("run", "") for step in steps(FOLDER / "preview.yml"))
    assert f'mark="{marker("$STACK")}"' in script
