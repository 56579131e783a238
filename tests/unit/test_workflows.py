from __future__ import annotations

import re
import subprocess
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
    # In YAML 1.1 the key `on` is the boolean true.
    return set(read(path)[True])


STACKS = [FOLDER / "preview.yml", FOLDER / "deploy.yml"]
"""The workflows that work on stacks."""


def test_there_are_tests_a_preview_and_a_deployment() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {"ci", "kind", "preview", "deploy"}


@pytest.mark.parametrize("path", FILES)
def test_every_action_is_pinned_to_a_commit_and_names_its_release(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    pinned_actions = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", path.read_text(), re.MULTILINE)
    assert used
    assert pinned_actions == used


def test_every_workflow_uses_the_same_version_of_an_action() -> None:
    used = {step["uses"] for path in FOLDER.glob("*.yml") for step in steps(path) if "uses" in step}
    assert len(used) == len({name.partition("@")[0] for name in used})


@pytest.mark.parametrize("path", FILES)
def test_jobs_have_only_the_permissions_that_they_need(path: Path) -> None:
    assert read(path)["permissions"] == {}
    own = {"reviewed": {"actions": "read"}, "comment": {"pull-requests": "write"}} if path.stem == "preview" else {}
    for name, job in read(path)["jobs"].items():
        assert job["permissions"] == own.get(name, {"contents": "read"})


@pytest.mark.parametrize("path", FILES)
def test_code_of_a_fork_never_runs_with_secrets(path: Path) -> None:
    assert triggers(path) <= {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
    if "pull_request" in triggers(path):
        same_repository = "github.event.pull_request.head.repo.full_name == github.repository"
        merged = "github.ref == 'refs/heads/main' && (github.event_name == 'push' || "
        with_secrets = [job for job in jobs(path) if "secrets" in str(job)]
        assert all(job["if"] == same_repository or job["if"].startswith(merged) for job in with_secrets)


def test_pull_requests_run_the_tiers_without_a_cluster_and_every_night_runs_e2e() -> None:
    ci = FOLDER / "ci.yml"
    assert {"pull_request", "push", "schedule"} <= triggers(ci)
    assert read(ci)["jobs"]["test"]["strategy"]["matrix"]["tier"] == ["lint", "unit", "engine"]
    assert "if" not in read(ci)["jobs"]["test"]
    assert "schedule" in read(ci)["jobs"]["e2e"]["if"]


def test_kind_is_started_by_the_commands_of_readme_every_night() -> None:
    assert triggers(FOLDER / "kind.yml") == {"schedule", "workflow_dispatch"}
    script = "\n".join(step.get("run", "") for step in steps(FOLDER / "kind.yml"))
    order = (
        "make up",
        "make doctor verify",
        "make run",
        "make cluster-up",
        "make down YES=1",
        "make cluster-down YES=1",
    )
    assert [script.index(command) for command in order] == sorted(script.index(command) for command in order)
    assert "make laptop" in script


def test_known_vulnerabilities_are_looked_up_for_every_commit_and_every_night() -> None:
    job = read(FOLDER / "ci.yml")["jobs"]["audit"]
    assert "if" not in job
    assert job["steps"][-1]["run"] == "make audit"
    assert "secrets." not in str(job)
    # One that becomes known overnight must not hold back a repair.
    assert "audit" not in str(read(FOLDER / "ci.yml")["jobs"]["deploy"]["needs"])


def test_the_site_is_built_for_every_commit_and_holds_back_no_deployment() -> None:
    job = read(FOLDER / "ci.yml")["jobs"]["docs"]
    assert "if" not in job
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make docs"]
    assert "docs" not in str(read(FOLDER / "ci.yml")["jobs"]["deploy"]["needs"])


def test_a_deployment_starts_only_after_the_tests_of_its_commit() -> None:
    assert triggers(FOLDER / "deploy.yml") == {"workflow_call"}
    deploy = read(FOLDER / "ci.yml")["jobs"]["deploy"]
    assert deploy["needs"] == "test"
    assert deploy["uses"] == "./.github/workflows/deploy.yml"


def test_a_newer_commit_cancels_the_tests_of_a_pull_request_but_not_those_of_main() -> None:
    rule = read(FOLDER / "ci.yml")["concurrency"]
    assert rule["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "${{ github.ref }}" in rule["group"]


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_runs_of_a_stack_are_serialized_and_only_previews_are_cancelled(path: Path) -> None:
    for job in jobs(path):
        rule = job["concurrency"]
        assert "${{ matrix.stack }}" in rule["group"]
        assert rule["cancel-in-progress"] is (path.stem == "preview")
        assert job["timeout-minutes"]


def test_a_preview_never_removes_a_deployment_from_the_queue() -> None:
    groups = [job["concurrency"]["group"].split("$")[0] for path in STACKS for job in jobs(path)]
    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("path", FILES)
def test_scripts_get_expressions_as_environment_variables_only(path: Path) -> None:
    assert all("${{" not in step.get("run", "") for step in steps(path))


@pytest.mark.parametrize("path", FILES)
def test_secrets_are_passed_to_single_steps_and_the_checkout_keeps_no_token(path: Path) -> None:
    assert all("env" not in job for job in jobs(path))
    assert "env" not in read(path)
    checkout = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout
    assert all(step["with"] == {"persist-credentials": False} for step in checkout)


def test_what_comments_has_neither_code_of_the_pull_request_nor_a_secret() -> None:
    comment = read(FOLDER / "preview.yml")["jobs"]["comment"]
    text = str(comment)
    assert "checkout" not in text
    assert "secrets." not in text
    assert "environment" not in comment
    with_code = read(FOLDER / "preview.yml")["jobs"]["preview"]
    assert "github.token" not in str(with_code)


def test_a_preview_needs_an_environment_with_reviewers() -> None:
    content = read(FOLDER / "preview.yml")["jobs"]
    assert content["preview"]["needs"] == "reviewed"
    assert "if: always" not in str(content["preview"]["if"])
    assert "secrets." not in str(content["reviewed"])
    assert "checkout" not in str(content["reviewed"])


GH = """#!/bin/sh
[ "$2" = repos/acme/flows/environments/prod-preview ] || { echo "gh: Not Found (HTTP 404)" >&2; exit 1; }
printf '%s' "$RULES"
"""
"""Stands for GitHub's program, whose `--jq` prints one type of a rule per line."""


@pytest.mark.parametrize(
    ("rules", "variables", "status", "text"),
    [
        ("required_reviewers\n", {}, 0, ""),
        ("branch_policy\nrequired_reviewers\n", {}, 0, ""),
        ("branch_policy\n", {}, 1, "::error title=Environment prod-preview has no required reviewers::"),
        ("", {}, 1, "Settings > Environments > prod-preview"),
        ("", {"ENVIRONMENT": "repos/acme/flows/environments/other"}, 1, "has no required reviewers"),
        ("", {"UNREVIEWED": "true"}, 0, "::warning::"),
    ],
)
def test_an_environment_without_required_reviewers_ends_the_workflow(
    rules: str, variables: dict[str, str], status: int, text: str, tmp_path: Path
) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    [step] = read(FOLDER / "preview.yml")["jobs"]["reviewed"]["steps"]
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "ENVIRONMENT": "repos/acme/flows/environments/prod-preview",
        "NAME": "prod-preview",
        "UNREVIEWED": "",
        "RULES": rules,
        **variables,
    }
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, text in done.stdout) == (status, True), done


@pytest.mark.parametrize("path", FILES)
def test_pulumi_has_the_version_of_the_python_package(path: Path) -> None:
    versions = [step["with"]["pulumi-version"] for step in steps(path) if "pulumi/actions" in step.get("uses", "")]
    assert versions == [pinned("pulumi")]


def test_preview_and_deployment_have_the_same_stacks_and_each_stack_has_a_file() -> None:
    stacks = [job["strategy"]["matrix"]["stack"] for path in STACKS for job in jobs(path)]
    assert all(each == stacks[0] for each in stacks)
    assert all((ROOT / f"Pulumi.{name}.yaml").exists() for name in stacks[0])


def test_a_deployment_undoes_changes_made_outside_pulumi() -> None:
    [step] = [step for step in steps(FOLDER / "deploy.yml") if step.get("with", {}).get("command") == "up"]
    assert step["with"]["refresh"] is True


def test_a_deployment_ends_with_the_verification_of_the_same_stack() -> None:
    *_, update, last = steps(FOLDER / "deploy.yml")
    assert update["with"]["command"] == "up"
    assert last["run"] == 'make -s verify STACK="$STACK" CLUSTER=existing'
    assert last["env"] == {**update["env"], "STACK": "${{ matrix.stack }}"}
    assert "if" not in last


def test_the_comment_is_identified_by_the_summarys_marker() -> None:
    script = "".join(step.get("run", "") for step in steps(FOLDER / "preview.yml"))
    assert f'mark="{marker("$STACK")}"' in script
