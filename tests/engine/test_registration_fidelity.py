"""Every field of a deployment and a pool on a real server: what was written is what is read, and nothing else moves.

The unit tests say the same of any value, of a server in memory; here it is the real one that must agree.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from infra.registration import deployment, work_pool
from infra.registration.deployment import DeploymentArgs, DeploymentProvider
from infra.registration.endpoint import Url
from infra.registration.work_pool import WorkPoolArgs, WorkPoolProvider
from infra.specs.deployment import DeploymentSpec, Schedule
from tests.marshal import marshalled

TEMPLATE = {
    "job_configuration": {"size": "{{ size }}", "env": "{{ env }}", "nothing": None},
    "variables": {
        "type": "object",
        "properties": {"size": {"type": "integer", "default": None}, "env": {"type": "object"}},
    },
}
BASE = DeploymentSpec(
    flow_name="flow",
    name="one",
    entrypoint="flows.x.y",
    description="Before.",
    tags=("a", "b"),
    parameters={"a": 1},
    parameter_schema={"type": "object", "properties": {"a": {"type": "integer"}, "b": {"default": None}}},
    schedules=(Schedule(slug="a", cron="0 6 * * *"), Schedule(slug="b", interval=3600)),
    concurrency_limit=2,
    collision_strategy="ENQUEUE",
    job_variables={"size": 1},
)
CHANGES: list[tuple[str, Any]] = [
    ("entrypoint", "flows.x.z"),
    ("description", None),
    ("description", "Äußerst\nlang. " * 50),
    ("version", "1.0"),
    ("tags", ()),
    ("tags", ("b", "a", "b")),
    ("parameters", {}),
    ("parameters", {"a": 2, "b": [None, 1.5, {"c": None}]}),
    ("parameter_schema", {"type": "object", "properties": {"a": {"type": "integer", "default": None}}}),
    ("enforce_parameter_schema", False),
    ("schedules", ()),
    ("schedules", (Schedule(slug="a", cron="0 6 * * *", day_or=False), Schedule(slug="b", interval=3600))),
    ("schedules", (Schedule(slug="a", interval=0.5), Schedule(slug="b", rrule="FREQ=DAILY"))),
    ("schedules", (Schedule(slug="b", interval=60, anchor_date="2026-01-01T00:00:00Z", active=False),)),
    ("schedules", (Schedule(slug="c", cron="0 6 * * *", replaces="a"), Schedule(slug="b", interval=3600))),
    ("schedules", (Schedule(slug="m", rrule="FREQ=MINUTELY;INTERVAL=7", timezone="Asia/Tokyo"),)),
    ("schedules", (Schedule(slug="a", cron="0 6 * * *", parameters={"a": 5, "b": None}),)),
    ("concurrency_limit", None),
    ("concurrency_limit", 7),
    ("collision_strategy", "CANCEL_NEW"),
    ("collision_strategy", None),
    ("grace_period_seconds", 90),
    ("paused", True),
    ("work_queue_name", "fast"),
    ("job_variables", {}),
    ("job_variables", {"size": 3, "env": {"A": "1", "B": "{{ prefect.variables.b }}"}}),
    ("pull_steps", ({"prefect.deployments.steps.set_working_directory": {"directory": None}},)),
]
_names = itertools.count()


@pytest.fixture
def pool(prefect: Any, prefect_server: str) -> Any:
    """Register the pool, and take it away afterwards."""
    args = WorkPoolArgs(endpoint=Url(url=prefect_server), name="fidelity", base_job_template=TEMPLATE)
    WorkPoolProvider().create(marshalled(work_pool.inputs(args, "project/dev/pool")))
    yield args
    prefect.call("DELETE", "/work_pools/fidelity")


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(("field", "value"), CHANGES, ids=lambda item: str(item)[:40])
def test_each_field_of_a_deployment_is_written_and_read_alone(
    field: str, value: Any, prefect_server: str, prefect: Any
) -> None:
    def props(spec: DeploymentSpec) -> Any:
        args = DeploymentArgs(endpoint=Url(url=prefect_server), spec=spec, work_pool_name="fidelity")
        return marshalled(deployment.inputs(args, "project/dev/one"))

    provider = DeploymentProvider()
    before = dataclasses.replace(BASE, name=f"one-{next(_names)}")
    state = marshalled(provider.create(props(before)).outs or {})
    assert provider.changed(state, props(before)) == []
    after = dataclasses.replace(before, **{field: value})
    assert provider.changed(state, props(after)) == [field]
    state = marshalled(provider.update("", state, props(after)).outs or {})
    assert provider.changed(state, props(after)) == []
    read = provider.read("", state)
    assert provider.changed(marshalled(read.outs or {}), props(after)) == []
    assert provider.changed(marshalled(read.outs or {}), props(before)) == [field]
    live = prefect.deployment("flow", before.name)
    prefect.call("DELETE", f"/deployments/{live['id']}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", "Ours."),
        ("concurrency_limit", 3),
        ("base_job_template", {**TEMPLATE, "job_configuration": {"size": "{{ size }}", "nothing": {"a": [None]}}}),
    ],
)
def test_each_field_of_a_pool_is_written_and_read_alone(field: str, value: Any, pool: Any) -> None:
    def props(args: WorkPoolArgs) -> Any:
        return marshalled(work_pool.inputs(args, "project/dev/pool"))

    provider = WorkPoolProvider()
    state = marshalled(provider.create(props(pool)).outs or {})
    assert provider.changed(state, props(pool)) == []
    after = dataclasses.replace(pool, **{field: value})
    assert provider.changed(state, props(after)) == [field]
    state = marshalled(provider.update("", state, props(after)).outs or {})
    assert provider.changed(state, props(after)) == []
    assert provider.changed(marshalled(provider.read("", state).outs or {}), props(pool)) == [field]
