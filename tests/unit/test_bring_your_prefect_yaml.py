"""The how-to docs/bring-your-prefect-yaml.md, followed with a project as `prefect init` makes it."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from infra import validation
from infra.prefect_yaml.load import DeploymentError
from tools import prefect_yaml_check
from tools.paths import ROOT

PAGE: Final = (ROOT / "docs" / "bring-your-prefect-yaml.md").read_text()

FOREIGN: Final[Mapping[str, str]] = {
    "etl/__init__.py": "",
    "etl/models.py": """
        from pydantic import BaseModel

        class Source(BaseModel):
            path: str
            depth: int = 1
    """,
    "flows/__init__.py": "",
    "flows/daily.py": """
        from datetime import date

        from prefect import flow, task

        from etl.models import Source

        @task
        def read(source: Source) -> int:
            return source.depth

        @flow(name="Daily load", retries=2)
        def load(source: Source = Source(path="/data"), since: date | None = None):
            "Load a day."
            read(source)
    """,
    "prefect.yaml": """
        # Welcome to your prefect.yaml file!
        name: their-project
        prefect-version: 3.4.0

        definitions:
          tags: &tags [team-a]
          pool: &pool
            name: their-docker-pool
            job_variables:
              image: "{{ build-image.image_name }}:{{ build-image.tag }}"
              env: {STAGE: prod}

        build:
          - prefect_docker.deployments.steps.build_docker_image:
              id: build-image
              requires: prefect-docker>=0.3.1
              image_name: registry.example.com/etl
              tag: latest
              dockerfile: auto

        push:
          - prefect_docker.deployments.steps.push_docker_image:
              image_name: "{{ build-image.image_name }}"
              tag: "{{ build-image.tag }}"

        pull:
          - prefect.deployments.steps.git_clone:
              repository: https://example.com/etl.git
              branch: main

        deployments:
          - name: production
            version: "{{ build-image.tag }}"
            tags: *tags
            description: null
            entrypoint: flows/daily.py:load
            parameters: {source: {path: /lake}}
            schedules:
              - {cron: "0 6 * * *", timezone: Europe/Berlin, active: "yes"}
              - {interval: PT12H, anchor_date: "2026-01-01T00:00:00+01:00"}
            work_pool: *pool
          - name: by hand
            entrypoint: flows/daily.py:load
            work_queue_name: fast
            work_pool: *pool
    """,
}

Edit = Callable[[str], str]


def _replaced(pattern: str, replacement: str) -> Edit:
    def edit(text: str) -> str:
        changed, number = re.subn(pattern, replacement, text, flags=re.MULTILINE | re.DOTALL)
        assert number, f"nothing to edit: {pattern}"
        return changed

    return edit


[_EXAMPLE] = re.findall(r"```yaml\n(config:\n[^`]*?packages[^`]*)```", PAGE)
PACKAGES: Final = yaml.safe_load(_EXAMPLE)
"""The setting that the page shows for code outside of flows/."""

STEPS: Final[Mapping[str, Edit]] = {
    "3. Change the work pool": _replaced(r"name: their-docker-pool", "name: dask"),
    "4. Remove the pull steps": _replaced(r"^pull:\n.*?(?=^deployments)", "pull: []\n\n"),
}
"""Heading of the page -> the edit of prefect.yaml that it asks for. There is no other."""


def _section(heading: str) -> str:
    [text] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Write the foreign project."""
    folder = tmp_path / "their-project"
    for name, text in FOREIGN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


@pytest.fixture
def project(tmp_path: Path, foreign: Path) -> Path:
    """Copy the foreign project into one of this kind, as the page says: the file, and the folders of the code."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(foreign / "prefect.yaml", folder)
    for name in ("flows", "etl"):
        shutil.copytree(foreign / name, folder / name)
    return folder


def _plan(project: Path, warnings: list[str], **values: Any) -> validation.Plan:
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    own = {key.removeprefix("ephemeral-dask:"): value for key, value in config.items()}
    own |= {"deployments": {}, "image": PACKAGES["config"]["ephemeral-dask:image"]}
    settings = validation.load_settings({**own, **values}, stack="dev")
    return validation.load_plan(project, settings, stack="dev", environment={}, warn=warnings.append)


def test_the_check_comes_first_and_accepts_the_file_as_it_is(foreign: Path) -> None:
    assert "make check FILE=" in _section("1. Check it")
    page, accepted = prefect_yaml_check.report(foreign / "prefect.yaml", strict=False, environment={})
    assert accepted, page
    assert "Daily load/production" in page
    assert "'work_queue_name' has no effect below a deployment; move it below work_pool" in page


def test_the_steps_of_the_page_are_enough(project: Path) -> None:
    path = project / "prefect.yaml"
    with pytest.raises(DeploymentError, match="work pool 'their-docker-pool'"):
        _plan(project, [])
    for heading, edit in STEPS.items():
        assert _section(heading)
        path.write_text(edit(path.read_text()))
    with pytest.raises(DeploymentError, match="etl"):
        _plan(project, [], image={**PACKAGES["config"]["ephemeral-dask:image"], "flow": {}})
    warnings: list[str] = []
    plan = _plan(project, warnings)
    production, by_hand = plan.deployments["dask"]
    assert (production.key, by_hand.key) == ("Daily load/production", "Daily load/by hand")
    assert (production.entrypoint, production.pull_steps) == ("flows.daily.load", ())
    assert production.job_variables == {"env": {"STAGE": "prod"}}
    assert production.tags == ("team-a",)
    assert production.description == "Load a day."
    assert [schedule.slug for schedule in production.schedules] == ["schedule-1", "schedule-2"]
    kinds = (
        "build steps are ignored",
        "push steps are ignored",
        "version: left out",
        "'work_queue_name' has no effect",
    )
    assert len(warnings) == len(kinds)
    for kind in kinds:
        assert any(kind in warning for warning in warnings)


def test_strict_makes_the_rest_an_error(project: Path) -> None:
    assert "strict: true" in _section("6. Preview and deploy")
    path = project / "prefect.yaml"
    for edit in STEPS.values():
        path.write_text(edit(path.read_text()))
    with pytest.raises(DeploymentError, match="the stack sets `strict`"):
        _plan(project, [], strict=True)


def test_braces_as_text_are_written_as_the_page_shows(project: Path) -> None:
    assert "{{ table }}" in _section("What is refused")
    (project / "prefect.yaml").write_text(
        "deployments: [{name: daily, entrypoint: flows/f.py:load, parameters: {sql: x}}]\n"
    )
    (project / "flows" / "f.py").write_text("from prefect import flow\n\n\n@flow\ndef load(sql: str): ...\n")
    [example] = re.findall(r"```yaml\n(config:\n[^`]*?load/daily[^`]*)```", PAGE)
    overrides = yaml.safe_load(example)["config"]["ephemeral-dask:deployments"]
    [spec] = _plan(project, [], deployments=overrides).deployments["dask"]
    assert spec.parameters == {"sql": "select * from {{ table }}"}
