"""The same prefect.yaml registered by us and by `prefect deploy --all`, compared through the API."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.deployed import deploy, prefect_deploy, registered
from tests.engine.prefect_yaml_files import FLOWS
from tools.paths import ROOT

FILE = """
prefect-version: 3.8.8
name: sample

definitions:
  tags: &tags [&first_tag team-a, nightly]
  daily: &daily
    cron: "0 0 * * *"
    timezone: Europe/Berlin
  pool: &pool
    name: sample
    job_variables: &variables
      size: 2

build: null
push: null
pull: []

deployments:
  - name: everything
    version: 1.0.0
    tags: *tags
    description: All that there is.
    entrypoint: jobs/flows.py:load_data
    parameters:
      source: {path: /data, depth: 3}
      level: high
    enforce_parameter_schema: true
    concurrency_limit:
      limit: 2
      collision_strategy: CANCEL_NEW
    schedules:
      - {<<: *daily, slug: daily, parameters: {level: low}}
      - slug: hourly
        interval: 3600
        anchor_date: "2026-01-01T00:00:00+00:00"
        timezone: America/New_York
        active: false
      - {slug: weekly, rrule: "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6"}
      - {slug: second-friday, cron: "0 9 8-14 * 5", day_or: false}
      - {slug: started, rrule: "DTSTART:20260101T060000\\nRRULE:FREQ=DAILY", timezone: Asia/Tokyo}
      - {slug: iso, interval: PT1H30M, anchor_date: "2026-01-01T00:00:00+00:00"}
      - {slug: clock, interval: "12:00:00", anchor_date: "2026-01-01T00:00:00+00:00"}
      - {slug: as-json, rrule: '{"rrule": "FREQ=DAILY;COUNT=3", "timezone": "Europe/Berlin"}'}
    work_pool:
      <<: *pool
      work_queue_name: fast
    pull:
      - prefect.deployments.steps.git_clone:
          repository: https://example.com/a.git
          branch: main

  - name: second-of-one-flow
    version: "2"
    entrypoint: jobs/flows.py:load_data
    enforce_parameter_schema: false
    concurrency_limit: 3
    parameters: {source: {path: /b}}
    schedule: {interval: 600, anchor_date: "2026-01-01T00:00:00+00:00"}
    work_pool: {name: sample, job_variables: {size: 3, env: {A: "1"}}}

  - name: by-module
    version: "3"
    entrypoint: jobs.flows.report
    tags: []
    schedules: []
    parameters: {top: 3}
    work_pool: *pool

  - name: on-events
    version: "4"
    version_type: prefect:simple
    entrypoint: jobs/flows.py:load_data
    description: For {{ $REGION }}.
    tags: [*first_tag, "{{ $REGION }}"]
    parameters: {source: {path: "/data/{{ $REGION }}"}}
    paused: true
    concurrency_limit: {limit: 1, collision_strategy: ENQUEUE}
    work_pool:
      name: sample
      job_variables: {env: {RUN: "{{ ctx.flow_run.id }}", REGION: "{{$REGION}}"}}
    triggers:
      - type: event
        enabled: true
        match: {prefect.resource.id: my.external.resource}
        expect: [external.resource.pinged]
        parameters: {source: {path: "{{ event.resource.id }}"}, since: "{{ event.payload.since | default('') }}"}
      - name: later
        expect: [campaign.approved, "campaign.{{ $REGION }}"]
        schedule_after: PT2H
        job_variables: {size: 5}
      - {name: seconds, expect: [a], schedule_after: 7200}
      - name: both
        type: compound
        require: all
        within: 3600
        triggers:
          - {type: event, match: {prefect.resource.id: "my.*"}, expect: [external.resource.pinged]}
          - {type: event, match: {prefect.resource.id: ["my.*", "!my.other"]}, expect: [external.resource.replied]}
      - name: any-of
        require: 1
        triggers: [{expect: [a]}, {expect: [b]}]
      - name: one-after-the-other
        description: In this order.
        type: sequence
        triggers: [{expect: [c]}, {expect: [d]}]
      - name: silence
        enabled: false
        posture: Proactive
        after: [order.created, order.item.added]
        expect: [order.complete]
        for_each: [prefect.resource.id, "related:flow:prefect.resource.id"]
        threshold: 2
        within: 60
      - name: after-another
        expect: [prefect.flow-run.Completed]
        match_related:
          - {prefect.resource.role: flow, prefect.resource.name: upstream}
          - {prefect.resource.role: tag, prefect.resource.id: [prefect.tag.a, prefect.tag.b]}
        parameters: {source: {__prefect_kind: json, value: {__prefect_kind: jinja, template: "{{ event.payload }}"}}}

  - name: waiting
    version: "5"
    entrypoint: jobs.flows.report
    concurrency_limit: {limit: 4, collision_strategy: ENQUEUE, grace_period_seconds: 120}
    work_pool: {name: sample, work_queue_name: fast}
"""

ENVIRONMENT = {"REGION": "eu"}

POOL = {
    "name": "sample",
    "type": "kubernetes",
    "base_job_template": {
        "job_configuration": {"size": "{{ size }}", "env": "{{ env }}"},
        "variables": {"type": "object", "properties": {"size": {"type": "integer"}, "env": {"type": "object"}}},
    },
}


@pytest.fixture
def project(tmp_path: Path, prefect: Any) -> Iterator[Path]:
    """Write the sample project, and give the server its pool."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("")
    (tmp_path / "jobs" / "flows.py").write_text(FLOWS)
    (tmp_path / "prefect.yaml").write_text(textwrap.dedent(FILE))
    prefect.call("POST", "/work_pools/", POOL)
    yield tmp_path
    prefect.call("DELETE", "/work_pools/sample")


def test_the_same_file_registers_the_same_deployments(project: Path, prefect_server: str, prefect: Any) -> None:
    prefect_deploy(project, prefect_server, ENVIRONMENT)
    theirs = registered(prefect)
    deploy(project, prefect_server, ENVIRONMENT)
    ours = registered(prefect)
    assert set(ours) == set(theirs) == {"everything", "second-of-one-flow", "by-module", "on-events", "waiting"}
    assert len(ours["on-events"]["automations"]) == 8
    # By design: a cron expression's timezone is written out.
    theirs["everything"]["schedules"]["second-friday"]["schedule"]["timezone"] = "UTC"
    # By design: without pull steps a file is registered as its module, which Dask workers can import.
    for name in ("second-of-one-flow", "on-events"):
        assert theirs[name]["entrypoint"] == "jobs/flows.py:load_data"
        theirs[name]["entrypoint"] = "jobs.flows.load_data"
    assert ours == theirs


ODD = """
version: 2
names: [a]
x-loop: &loop {again: *loop}
definitions:
  tags: &tags {tags: [one]}
  text: &text {description: two}
pull: []
deployments:
  - &base
    name: two-merge-keys
    version: "1"
    entrypoint: jobs/flows.py:report
    work_pool: {name: sample}
    <<: *tags
    <<: *text
  - <<: *base
    name: spellings
    enforce_parameter_schema: "no"
    paused: "off"
    concurrency_limit: "3"
    unknown: 1
    job_variables: {lost: 1}
    flow_name: other
    schedules:
      - {slug: yes-in-words, cron: "0 6 * * *", active: "yes", timezone: Europe/Berlin}
      - {slug: zero, interval: 60, active: 0, anchor_date: 2024/01/01, timezone: UTC}
      - {slug: month, interval: 3600, anchor_date: "2024-01", timezone: UTC}
      - {slug: no-offset, interval: 86400, anchor_date: "2026-01-05T09:00:00", timezone: America/New_York}
      - {slug: six, cron: "0 0 6 * * *", timezone: UTC}
      - {slug: anchored-cron, cron: "0 7 * * *", anchor_date: soon, day_or: "off", timezone: UTC}
      - {slug: zoned, rrule: "DTSTART;TZID=America/New_York:20260105T090000\\nRRULE:FREQ=WEEKLY;BYDAY=MO"}
      - {slug: in-utc, rrule: "DTSTART:20260105T140000Z\\nRRULE:FREQ=DAILY", timezone: America/New_York}
    triggers: [{name: zero, expect: [a], threshold: 0}]
  - <<: *base
    name: placeholders
    description: "{{ REGION }}"
    tags: ["{{ $REGION }}"]
    pull:
      - prefect.deployments.steps.git_clone: {id: c, repository: "https://example.com/{{ $REGION }}"}
      - prefect.deployments.steps.set_working_directory: {directory: "{{ c.directory }}"}
  - <<: *base
    name: stem.py
  - <<: *base
    name: Zürich 日本 🙂
  - {entrypoint: missing.py:x}
"""


def test_odd_spellings_register_the_same(project: Path, prefect_server: str, prefect: Any) -> None:
    (project / "prefect.yaml").write_text(ODD)
    prefect_deploy(project, prefect_server, ENVIRONMENT)
    theirs = registered(prefect)
    deploy(project, prefect_server, ENVIRONMENT)
    ours = registered(prefect)
    assert set(ours) == {"two-merge-keys", "spellings", "placeholders", "stem", "Zürich 日本 🙂"}
    # By design: without pull steps a file is registered as its module, which Dask workers can import.
    for fields in theirs.values():
        if not fields["pull_steps"]:
            fields["entrypoint"] = "jobs.flows.report"
    assert ours == theirs


OWN_POOL = {
    "name": "dask",
    "type": "kubernetes",
    "base_job_template": {
        "job_configuration": {"maximum": "{{ dask_maximum }}"},
        "variables": {"type": "object", "properties": {"dask_maximum": {"type": "integer"}}},
    },
}


@pytest.fixture
def own_project(tmp_path: Path, prefect: Any) -> Iterator[Path]:
    """Copy this project's own file and flows, and give the server the pool that the file names."""
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "ephemeral_dask", tmp_path / "ephemeral_dask", ignore=shutil.ignore_patterns("__pycache__"))
    prefect.call("POST", "/work_pools/", OWN_POOL)
    yield tmp_path
    prefect.call("DELETE", "/work_pools/dask")


def _flow_and_name(item: Any) -> str:
    return f"{item['entrypoint']} {item['name']}"


def test_prefects_own_deploy_registers_this_projects_file_as_the_stack_does(
    own_project: Path, prefect_server: str, prefect: Any
) -> None:
    prefect_deploy(own_project, prefect_server, ENVIRONMENT)
    theirs = registered(prefect, key=_flow_and_name)
    deploy(own_project, prefect_server, ENVIRONMENT)
    ours = registered(prefect, key=_flow_and_name)
    assert theirs
    for fields in [*theirs.values(), *ours.values()]:
        assert not fields["pull_steps"]
        # By design: Prefect makes a version out of the source where none is declared, the stack leaves it alone.
        for name in ("version", "version_id", "version_info"):
            fields.pop(name, None)
    assert ours == theirs
