"""What becomes of pauses and of waiting runs on a real server when schedules of a deployment change."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.registration import backlog, deployment, session
from infra.registration.deployment import DeploymentArgs, DeploymentProvider
from infra.registration.endpoint import Url, to_props
from infra.specs.deployment import DeploymentSpec, Schedule
from tests.marshal import marshalled

_names = itertools.count()

FAST = Schedule(slug="fast", interval=600, anchor_date="2026-01-01T00:00:00Z")
SLOW = Schedule(slug="slow", interval=900, anchor_date="2026-01-01T00:01:00Z")
TWO = Schedule(slug="schedule-1", cron="0 2 * * *")
NINE = Schedule(slug="schedule-2", cron="0 9 * * *", timezone="Europe/Berlin")


class Project:
    """One deployment, registered again and again as updates do."""

    def __init__(self, prefect: Any, address: str) -> None:
        self.prefect = prefect
        self.name = f"changes-{next(_names)}"
        self._address = address
        self._state: dict[str, Any] | None = None

    def up(self, *schedules: Schedule) -> None:
        spec = DeploymentSpec(flow_name="flow", name=self.name, entrypoint="f.f", schedules=schedules)
        args = DeploymentArgs(endpoint=Url(url=self._address), spec=spec, work_pool_name="changes")
        props = marshalled(deployment.inputs(args, "project/dev/one"))
        provider = DeploymentProvider()
        if self._state is None:
            self._state = marshalled(provider.create(props).outs or {})
        elif provider.changed(self._state, props):
            self._state = marshalled(provider.update("", self._state, props).outs or {})
        assert provider.changed(self._state, props) == []

    @property
    def live(self) -> Any:
        return self.prefect.deployment("flow", self.name)

    def pause(self, slug: str) -> None:
        [item] = [item for item in self.live["schedules"] if item["slug"] == slug]
        self.prefect.call("PATCH", f"/deployments/{self.live['id']}/schedules/{item['id']}", {"active": False})

    def schedule_runs(self, start: datetime, number: int) -> None:
        body = {"start_time": start.isoformat(), "min_runs": number, "max_runs": number}
        self.prefect.call("POST", f"/deployments/{self.live['id']}/schedule", body)

    def due(self) -> Counter[int]:
        """Return how many due runs each interval has, by the minute of their start."""
        body = {
            "deployments": {"id": {"any_": [self.live["id"]]}},
            "flow_runs": {"next_scheduled_start_time": {"before_": datetime.now(UTC).isoformat()}},
        }
        runs = self.prefect.call("POST", "/flow_runs/filter", body)
        return Counter(
            15 if datetime.fromisoformat(run["next_scheduled_start_time"]).minute % 5 else 10 for run in runs
        )


@pytest.fixture
def project(prefect: Any, prefect_server: str) -> Iterator[Project]:
    prefect.call("POST", "/work_pools/", {"name": "changes", "type": "process"})
    yield Project(prefect, prefect_server)
    prefect.call("DELETE", "/work_pools/changes")


def test_a_pause_stays_with_its_recurrence(project: Project) -> None:
    project.up(TWO, NINE)
    project.pause("schedule-1")
    project.up(Schedule(slug="schedule-1", cron="0 9 * * *", timezone="Europe/Berlin"))
    [live] = project.live["schedules"]
    assert (live["slug"], live["schedule"]["cron"], live["active"]) == ("schedule-1", "0 9 * * *", True)


def test_swapped_lines_swap_slugs_on_a_server_that_wants_them_unique(project: Project) -> None:
    project.up(TWO, NINE)
    project.pause("schedule-1")
    before = {item["schedule"]["cron"]: item["id"] for item in project.live["schedules"]}
    swapped = (
        Schedule(slug="schedule-1", cron="0 9 * * *", timezone="Europe/Berlin"),
        Schedule(slug="schedule-2", cron="0 2 * * *"),
    )
    project.up(*swapped)
    after = {item["slug"]: (item["id"], item["active"]) for item in project.live["schedules"]}
    assert after == {"schedule-1": (before["0 9 * * *"], True), "schedule-2": (before["0 2 * * *"], False)}


def test_the_backlog_of_a_schedule_outlives_the_removal_of_another(project: Project) -> None:
    project.up(FAST, SLOW)
    project.schedule_runs(datetime.now(UTC) - timedelta(hours=2), 6)
    before = project.due()
    assert before[15] > 0
    project.pause("slow")
    project.up(SLOW)
    assert project.due()[15] == before[15]
    [live] = project.live["schedules"]
    assert (live["slug"], live["active"]) == ("slow", False)


def test_a_schedule_is_deleted_by_itself_when_nothing_waits(project: Project) -> None:
    project.up(FAST, SLOW)
    [slow] = [item["id"] for item in project.live["schedules"] if item["slug"] == "slow"]
    project.up(SLOW)
    assert [item["id"] for item in project.live["schedules"]] == [slow]


def test_the_runs_of_a_deployment_are_counted_by_what_becomes_of_them(project: Project, prefect_server: str) -> None:
    project.up(FAST)
    project.schedule_runs(datetime.now(UTC) - timedelta(hours=1), 3)
    path = f"/deployments/{project.live['id']}/create_flow_run"
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    states = [
        {"type": "SCHEDULED", "state_details": {"scheduled_time": later}},
        {"type": "PENDING"},
        {"type": "RUNNING"},
        {"type": "RUNNING"},
        {"type": "COMPLETED"},
    ]
    for state in states:
        run = project.prefect.call("POST", path, {})
        project.prefect.call("POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
    api = session.api({"reach": to_props(Url(url=prefect_server))})
    text = backlog.described(api, project.live["id"], operation="count runs")
    assert text == "2 running, 1 pending, 3 waiting, 1 scheduled by hand"
