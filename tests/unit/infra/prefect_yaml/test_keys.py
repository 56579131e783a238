"""Keys that Prefect ignores: a warning with the line and the place where they would work."""

from __future__ import annotations

import pytest

from tests.support.prefect_yaml_project import Project, deployment


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("version: 2", "'version' has no effect at the top of the file; move it below a deployment"),
        ("description: nightly jobs", "'description' has no effect at the top of the file; move it below a deployment"),
        ("schedules: []", "'schedules' has no effect at the top of the file; move it below a deployment"),
        ("names: [a]", "'names' has no effect, because Prefect does not know it; did you mean 'name'?"),
        ("deploy: true", "'deploy' has no effect, because Prefect does not know it"),
        ("project: x", "'project' has no effect, because Prefect does not know it"),
        ('prefect_version: "3.8.8"', "'prefect_version' has no effect, because Prefect does not know it; did you mean"),
        ("builds: []", "did you mean 'build'?"),
        ("work_queue_name: fast", "in a deployment, move it below work_pool"),
        ("infra_overrides: {}", "in a deployment, write work_pool.job_variables"),
    ],
)
def test_a_top_level_key_without_effect_is_a_warning(line: str, warning: str, project: Project) -> None:
    assert len(project.load(f"{line}\n{deployment('')}")) == 1
    [text] = project.warnings
    assert text.startswith("prefect.yaml:1: ")
    assert warning in text


@pytest.mark.parametrize("key", ["x-anchors", "anchors", "templates", "definitions"])
def test_a_key_whose_anchors_are_used_passes(key: str, project: Project) -> None:
    project.load(f"{key}:\n  tags: &tags [a]\n{deployment('tags: *tags')}")
    assert project.warnings == []


@pytest.mark.parametrize("line", ["definition: {a: 1}", "builds: [{a: {}}]", "deployment: [{}]", "pulls: [{a: {}}]"])
def test_a_misspelled_section_that_holds_something_is_refused(line: str, project: Project) -> None:
    assert "has no meaning at the top of the file; did you mean" in project.refusal(f"{line}\n{deployment('')}")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("parametres: {}", "'parametres' has no effect below a deployment; did you mean 'parameters'?"),
        ("work_queue_name: fast", "'work_queue_name' has no effect below a deployment; move it below work_pool"),
        ("job_variables: {a: 1}", "'job_variables' has no effect below a deployment; move it below work_pool"),
        ("infra_overrides: {}", "write work_pool.job_variables, its name in Prefect 3"),
        ("cron: '0 6 * * *'", "'cron' has no effect below a deployment; move it below schedules"),
        ("retries: 3", "write it in the flow's decorator, @flow(retries=...)"),
        ("zzz: 3", "'zzz' has no effect below a deployment; remove it"),
        ("work_pool: {queue: a}", "'queue' has no effect below work_pool; write work_pool.work_queue_name"),
        ("work_pool: {tags: [a]}", "'tags' has no effect below work_pool; move it out to the deployment itself"),
        ("work_pool: {image: x}", "'image' has no effect below work_pool; move it below work_pool.job_variables"),
        ("work_pool: {cpu: 2}", "move it below job_variables if it is a variable of the pool's template"),
        ("concurrency_limit: {limit: 1, strategy: x}", "'strategy' has no effect below concurrency_limit"),
        ("version_type: vcs:git", "version_type 'vcs:git' has no effect, or every commit would delete"),
        ("flow_name: other", "flow_name 'other' has no effect, because the flow's own name is 'plain-one'"),
        ('schedules: [{cron: "0 6 * * *", anchor_date: 2026-01-01}]', "anchor_date has no effect, because it belongs"),
        ("schedules: [{interval: 60, day_or: true}]", "day_or has no effect, because it belongs to cron"),
    ],
)
def test_a_key_without_effect_below_a_deployment_is_a_warning(text: str, warning: str, project: Project) -> None:
    assert warning in project.warning_of(text)
    assert project.warnings[0].startswith("prefect.yaml:4: deployment 'one': ")


def test_a_deployment_without_a_name_is_skipped_with_a_warning(project: Project) -> None:
    text = "deployments:\n- {name: a, entrypoint: flows.jobs.named}\n- {entrypoint: missing.x}\n- {name: null}\n"
    assert [spec.name for spec in project.load(text)] == ["a"]
    assert [warning.partition(": ")[0] for warning in project.warnings] == ["prefect.yaml:3", "prefect.yaml:4"]


def test_of_two_deployments_with_one_name_the_last_one_counts(project: Project) -> None:
    text = (
        "deployments:\n- {name: a, entrypoint: flows.jobs.named}\n- {name: a, entrypoint: flows.jobs.named, tags: [x]}"
    )
    assert [spec.tags for spec in project.load(text)] == [("x",)]
    assert "prefect.yaml:2: deployment 'Named/a' is declared again below" in project.warnings[0]


@pytest.mark.parametrize(
    "text", ["job_variables: {a: '{{ x.y }}'}", "work_pool: {a: '{{ $X }}'}", "flow_name: '{{ x.y }}'"]
)
def test_a_placeholder_in_a_key_without_effect_is_not_looked_at(text: str, project: Project) -> None:
    assert "has no effect" in project.warning_of(text)
