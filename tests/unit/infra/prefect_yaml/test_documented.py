"""docs/bring-your-prefect-yaml.md lists every difference from `prefect deploy` and every refusal: all are tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from infra.prefect_yaml.load import DeploymentSpec
from tests.support.prefect_yaml_project import Project, deployment
from tools.paths import ROOT

PAGE: Final = (ROOT / "docs/bring-your-prefect-yaml.md").read_text()


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _of(entrypoint: str, more: str = "") -> str:
    return deployment(more).replace("flows.jobs.plain_one", entrypoint)


REFUSED: Final[dict[str, tuple[str, str]]] = {
    "a schedule or a trigger of a flow with a required": (
        _of("flows.jobs.named", "schedules: [{interval: 5}]"),
        "'a' has no default and no value",
    ),
    "a parameter that the flow does not have": (deployment("parameters: {x: 1}"), "the flow has no parameter 'x'"),
    "a date that never comes": (deployment("schedules: [{cron: 0 0 31 2 *}]"), "this date never comes"),
    "a slash or another of": (deployment("").replace("name: one", "name: a/b"), "has one of"),
    "an environment variable": (deployment('description: "{{ $ABSENT }}"'), "variable ABSENT is not set"),
    "a pull step that uses the output": (
        deployment('build: [{a.b: {id: x}}]\npull: [{c.d: {e: "{{ x.tag }}"}}]'),
        "'{{ x.tag }}' is the output of a build or push step",
    ),
    "`.inf` and `.nan`": (deployment("parameters: {a: .inf}"), "cannot be stored in JSON"),
    "two schedules of a deployment with one slug": (
        deployment("schedules: [{interval: 5, slug: a}, {interval: 6, slug: a}]"),
        "two schedules have the slug 'a'",
    ),
    "a misspelled section at the top": (f"builds: [{{a.b: {{}}}}]\n{deployment('')}", "'builds'"),
    "an interval whose anchor is `now`": (
        deployment("schedules: [{interval: 5, anchor_date: now}]"),
        "anchor_date 'now' is not a date",
    ),
    "a compound or sequence trigger without": (
        deployment("triggers: [{type: sequence, triggers: []}]"),
        "triggers must be a list of at least one trigger",
    ),
    "an entrypoint without a flow": (_of("flows.jobs.no_flow"), "'no_flow' in flows/jobs.py is not a flow"),
}
"""Start of a point of "What is refused" -> a file, and a part of the refusal."""


def _variable(project: Project) -> DeploymentSpec:
    [spec] = project.load(deployment('description: "{{ prefect.variables.v }}"'), variables={"v": "text"})
    return spec


DIFFERENT: Final[dict[str, tuple[str | Callable[[Project], DeploymentSpec], str, Any]]] = {
    "a schedule without a slug": ("schedules: [{interval: 5}]", "schedules", ["schedule-1"]),
    "an entrypoint `flows/load.py:load` without": (
        lambda project: project.load(_of("flows/jobs.py:plain_one"))[0],
        "entrypoint",
        "flows.jobs.plain_one",
    ),
    "no `pull` at all": ("", "pull_steps", ()),
    "no work queue": ("work_pool: {name: p}", "work_queue_name", "default"),
    "no description, and a flow without": (
        lambda project: project.load(_of("flows.jobs.through_module"))[0],
        "description",
        None,
    ),
    "a trigger with an empty name": ("triggers: [{expect: [e], name: ''}]", "triggers", ["one__automation_1"]),
    "`{{ build-image.tag }}` and other outputs": ('version: "{{ build-image.tag }}"', "version", None),
    "a Prefect variable outside of job variables": (_variable, "description", "text"),
    "`{{ prefect.blocks... }}` and": (
        'work_pool: {job_variables: {env: {A: "{{ prefect.blocks.secret.a }}"}}}',
        "job_variables",
        {"env": {"A": "{{ prefect.blocks.secret.a }}"}},
    ),
    "no version": ("", "version", None),
    "`version_type: vcs:...`": ("version_type: vcs:git\nversion: v1", "version", "v1"),
}
"""Start of a row of "What is different" -> a deployment, the field, and what is registered."""


def test_every_refusal_and_every_difference_of_the_page_is_tried_here() -> None:
    refused = re.findall(r"^- (.+)$", _section("What is refused"), re.MULTILINE)
    different = re.findall(r"^\| (.+?) \|", _section("What is different"), re.MULTILINE)[1:]
    for shown, tried in ((refused, REFUSED), (different, DIFFERENT)):
        assert len(shown) == len(tried)
        assert [start for start, text in zip(tried, shown, strict=True) if not text.startswith(start)] == []


@pytest.mark.parametrize("point", REFUSED)
def test_what_the_page_says_is_refused_is_refused(point: str, project: Project) -> None:
    text, message = REFUSED[point]
    assert message in project.refusal(text)


@pytest.mark.parametrize("row", DIFFERENT)
def test_what_the_page_says_is_different_is_registered_so(row: str, project: Project) -> None:
    text, field, expected = DIFFERENT[row]
    spec = project.one(text) if isinstance(text, str) else text(project)
    value = getattr(spec, field)
    if field == "schedules":
        value = [each.slug for each in value]
    if field == "triggers":
        value = [each.name for each in value]
    assert value == expected
