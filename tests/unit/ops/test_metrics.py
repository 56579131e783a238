"""What the checks of the reaper record."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ephemeral_dask.contract.causes import Cause
from ops import causes, objects
from ops.judgement import Bounds, Judge, World
from ops.metrics import Metrics
from ops.reaper import Reaper
from ops.runs import Runs
from tests.unit.ops.fakes import NOW, RUN, FakeKubernetes, FakePrefect, cluster, flow_pod, job, terminated

OTHER = "00000000-0000-4000-8000-000000000002"
POOLS = {"dask": Bounds(pending_timeout=600, crashed_after=300), "gpu": Bounds(pending_timeout=60, crashed_after=None)}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"ephemeral_dask_{name}", labels)


class Checked:
    """Both APIs and the metrics of the checks between them."""

    def __init__(self) -> None:
        self.kubernetes, self.prefect, self.metrics = FakeKubernetes(), FakePrefect(), Metrics(POOLS)
        self.time = 0.0
        judge = Judge(namespace="flows", bounds=POOLS)
        self.runs = Runs(
            self.kubernetes.client, self.prefect.client, judge, metrics=self.metrics, clock=lambda: self.time
        )
        self.reaper = Reaper(self.kubernetes.client, self.runs, maximum_lifetime=7 * 86400, metrics=self.metrics)

    def check(self, times: int = 1) -> Checked:
        for _ in range(times):
            self.reaper.once()
            self.time += 5
        return self

    def value(self, name: str, **labels: str) -> float | None:
        return value(self.metrics.registry, name, **labels)


@pytest.fixture
def checked() -> Checked:
    return Checked()


def test_live_runs_are_counted_by_pool_and_state_and_the_oldest_pending_one_is_timed(checked: Checked) -> None:
    checked.kubernetes.objects = {"jobs": [job(), job(run=OTHER, uid="u2")]}
    checked.prefect.add("PENDING", age=120)
    checked.prefect.add("SCHEDULED", OTHER, name="AwaitingRetry", retry_type="in_process")
    checked.check()
    assert checked.value("flow_runs", work_pool="dask", state="pending") == 1
    assert checked.value("flow_runs", work_pool="dask", state="awaiting_retry") == 1
    assert checked.value("flow_runs", work_pool="gpu", state="pending") == 0
    assert checked.value("oldest_pending_flow_run_seconds", work_pool="dask") == 120
    assert checked.value("pending_timeout_seconds", work_pool="gpu") == 60
    checked.prefect.state(RUN, type="RUNNING")
    checked.check()
    assert checked.value("flow_runs", work_pool="dask", state="running") == 1
    assert checked.value("oldest_pending_flow_run_seconds", work_pool="dask") == 0


def test_a_run_that_the_reaper_sets_to_crashed_is_counted_once_with_its_cause(checked: Checked) -> None:
    pod = flow_pod("Failed", status=terminated(137, "OOMKilled"))
    checked.kubernetes.objects = {"pods": [pod], "jobs": [job("Failed")]}
    # A flow may print anything.
    checked.kubernetes.log = "Its pod did not start: no node can take the pod"
    checked.prefect.add("RUNNING")
    checked.check(4)
    crashed = {
        cause: checked.value("flow_runs_crashed_total", work_pool="dask", cause=cause) for cause in causes.LABELS
    }
    assert {cause: number for cause, number in crashed.items() if number} == {"out_of_memory": 1}


@pytest.mark.parametrize(
    ("message", "label"),
    [
        (f"Its pod did not start within 600 s: {Cause.IMAGE_PULL.value}: image x: not found", "image_pull"),
        (f"Its pod did not start within 600 s: {Cause.QUOTA.value}: exceeded quota", "quota"),
        ("Its pod did not start within 600 s: Kubernetes names no cause.", "unknown"),
        ("Its pod ended: exit code 137 (OOMKilled): it needed more memory than its limit", "out_of_memory"),
        ("Its pod ended: exit code 143; DeadlineExceeded: Job was active too long", "deadline"),
        ("Its pod ended: Evicted: The node was low on resource: memory.", "evicted"),
        ("Its pod ended: scheduler: preempting to accommodate a higher priority pod; exit code 143", "preempted"),
        ("Its pod ended: its node does not answer", "node_lost"),
        ("Its pod ended: exit code 1", "ended"),
        ("Its Job was deleted.", "deleted"),
        ("Its pod was deleted before the run started.", "deleted"),
        ("No heartbeat for 300 s.", "no_heartbeat"),
        ("It has had no Job for 600 s: its worker did not create one.", "no_job"),
    ],
)
def test_every_message_of_the_reaper_has_a_label_of_the_metric(message: str, label: str) -> None:
    assert causes.label(message) == label
    assert label in causes.LABELS


def test_dask_clusters_are_live_or_over_or_ignored_by_the_operator(checked: Checked) -> None:
    handled: dict[str, Any] = {"status": {"phase": "Running"}}
    checked.kubernetes.objects = {
        "jobs": [job()],
        "pods": [flow_pod("Running")],
        "daskclusters": [
            cluster("alive") | handled,
            cluster("young", age=10),
            cluster("ignored", age=31),
            cluster("over", owner="u0") | handled,
            cluster("deleted", deletionTimestamp="2026-03-01T11:59:59Z"),
        ],
    }
    checked.check()
    numbers = {state: checked.value("clusters", state=state) for state in ("live", "over", "unhandled")}
    assert numbers == {"live": 2, "over": 2, "unhandled": 1}


def test_a_check_without_an_answer_leaves_the_time_of_the_last_one(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    checked.check()
    monkeypatch.setattr("time.time", lambda: 2000.0)
    checked.prefect.is_up = False
    checked.check()
    times = {api: checked.value("last_check_timestamp_seconds", api=api) for api in ("kubernetes", "prefect")}
    assert times == {"kubernetes": 2000, "prefect": 1000}
    monkeypatch.setattr("time.time", lambda: 3000.0)
    checked.kubernetes.is_up = False
    checked.check()
    assert checked.value("last_check_timestamp_seconds", api="kubernetes") == 2000


def test_names_and_labels_follow_the_conventions_of_prometheus() -> None:
    units = {"flow_run_queue": "seconds", "last_check_timestamp": "seconds"}
    for metric in Metrics(POOLS).registry.collect():
        if metric.name.startswith("process_"):
            continue
        assert re.fullmatch(r"ephemeral_dask_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.documentation.endswith(".")
        for each in metric.samples:
            assert each.name.endswith("_total") == (metric.type == "counter")
            # Names of runs and clusters would be series without end.
            assert set(each.labels) <= {"work_pool", "state", "cause", "api", "component", "phase", "le"}
    names = {metric.name for metric in Metrics(POOLS).registry.collect()}
    assert {f"ephemeral_dask_{name}_{unit}" for name, unit in units.items()} <= names


def test_a_counter_begins_at_zero_so_that_its_first_event_is_an_increase() -> None:
    registry = Metrics(POOLS).registry
    assert value(registry, "flow_runs_ended_total", work_pool="gpu", state="crashed") == 0
    assert value(registry, "flow_runs_crashed_total", work_pool="gpu", cause="no_job") == 0
    assert value(registry, "flow_run_queue_seconds_count", work_pool="gpu") == 0


def test_a_verdict_that_prefect_refuses_is_not_counted(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    checked.prefect.add("RUNNING")
    monkeypatch.setattr("ops.prefect.Prefect.set_state", lambda *_, **__: False)
    for _ in range(3):
        checked.runs.reconcile(World.of(NOW, [objects.flow_pod(flow_pod("Failed", status=terminated(1)))], []))
        checked.time += 5
    assert checked.value("flow_runs_crashed_total", work_pool="dask", cause="ended") == 0
