from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from tools.engine.milestones import Milestones

PREFIX = "urn:pulumi:dev::ephemeral-dask::"
DEPLOYMENT = "pulumi-python:dynamic/prefect:Deployment"
WORKLOAD = "kubernetes:apps/v1:Deployment"
IMAGE = "docker-build:index:Image"


class Update:
    """An update whose clock moves one second with each event."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.milestones = Milestones(self.lines.append, lambda: self.now)

    def take(self, **event: Any) -> None:
        self.now += 1
        self.milestones.take(EngineEvent.from_json(event))

    def begin(self, operation: str, kind: str, name: str, parent: str = "") -> None:
        self.take(resourcePreEvent={"metadata": _step(operation, kind, name, parent)})

    def end(self, operation: str, kind: str, name: str, parent: str = "") -> None:
        self.take(resOutputsEvent={"metadata": _step(operation, kind, name, parent)})

    def do(self, operation: str, kind: str, name: str, parent: str = "") -> None:
        self.begin(operation, kind, name, parent)
        self.end(operation, kind, name, parent)


def _step(operation: str, kind: str, name: str, parent: str) -> dict[str, Any]:
    kinds = f"ephemeral-dask:index:{parent}${kind}" if parent else kind
    state = {"custom": not kind.startswith("ephemeral-dask:")}
    return {"op": operation, "type": kind, "urn": f"{PREFIX}{kinds}::{name}", "new": state}


@pytest.fixture
def update() -> Update:
    return Update()


def test_images_that_are_built_together_are_one_line_with_the_time_of_all(update: Update) -> None:
    update.begin("create", IMAGE, "image-flow", "FlowImage")
    update.begin("create", IMAGE, "image-platform", "FlowImage")
    update.end("create", IMAGE, "image-platform", "FlowImage")
    assert update.lines == []
    update.end("create", IMAGE, "image-flow", "FlowImage")
    assert update.lines == ["images built (3.0 s)"]


@pytest.mark.parametrize(
    ("kind", "name", "parent", "line"),
    [
        ("kubernetes:core/v1:Namespace", "flows-namespace", "FlowNamespace", "namespace of the platform ready (1.0 s)"),
        ("kubernetes:core/v1:Namespace", "runs-namespace", "RunsNamespace", "namespace of runs ready (1.0 s)"),
        (WORKLOAD, "prefect-server-deployment", "PrefectServer", "Prefect server ready (1.0 s)"),
        (
            WORKLOAD,
            "prefect-server-services-deployment",
            "PrefectServer",
            "Prefect background services ready (1.0 s)",
        ),
        (WORKLOAD, "prefect-worker-gpu-deployment", "PrefectWorker", "Prefect worker of work pool gpu ready (1.0 s)"),
        (WORKLOAD, "dask-operator-deployment", "DaskOperator", "Dask operator ready (1.0 s)"),
    ],
)
def test_what_people_wait_for_is_a_line(update: Update, kind: str, name: str, parent: str, line: str) -> None:
    update.do("create", kind, name, parent)
    assert update.lines == [line]


def test_what_stays_the_same_or_is_of_little_interest_prints_no_line(update: Update) -> None:
    update.do("refresh", WORKLOAD, "prefect-server-deployment", "PrefectServer")
    update.do("same", WORKLOAD, "prefect-server-deployment", "PrefectServer")
    update.do("create", "kubernetes:core/v1:Service", "prefect-server-service", "PrefectServer")
    update.do("delete", WORKLOAD, "dask-reaper-deployment", "DaskReaper")
    assert update.lines == []


def test_deployments_are_counted_by_what_happened_to_them(update: Update) -> None:
    for name, operation in {"a": "create", "b": "update", "c": "update", "d": "same", "e": "delete"}.items():
        update.do(operation, DEPLOYMENT, name)
    assert update.milestones.deployments() == "4 deployments (1 new, 2 updated, 1 removed)"


def test_deployments_that_all_stay_the_same_are_not_mentioned(update: Update) -> None:
    update.do("same", DEPLOYMENT, "a")
    assert update.milestones.deployments() == ""


def test_the_status_names_what_is_running_and_for_how_long(update: Update) -> None:
    update.begin("create", "kubernetes:core/v1:Service", "prefect-server-service", "PrefectServer")
    update.begin("update", WORKLOAD, "prefect-server-deployment", "PrefectServer")
    update.now += 10
    assert update.milestones.describe() == "updating Prefect server 10 s, creating prefect-server-service 11 s"
    update.take(resOpFailedEvent={"metadata": _step("update", WORKLOAD, "prefect-server-deployment", "PrefectServer")})
    update.end("create", "kubernetes:core/v1:Service", "prefect-server-service", "PrefectServer")
    assert update.milestones.describe() == ""


@pytest.mark.parametrize("name", ["Daily Report-every minute", "日本-毎日 🙂", "etl::load-a::b"])
def test_the_status_has_the_whole_name_of_a_deployment(update: Update, name: str) -> None:
    update.begin("delete", DEPLOYMENT, name)
    assert update.milestones.describe() == f"deleting {name} 0.0 s"


def test_a_component_is_not_in_the_status(update: Update) -> None:
    update.begin("create", "ephemeral-dask:index:PrefectServer", "prefect-server")
    assert update.milestones.describe() == ""


def test_the_total_names_every_kind_of_change(update: Update) -> None:
    update.take(summaryEvent={"resourceChanges": {"create": 2, "update": 1, "same": 40}})
    assert update.milestones.total() == "2 created, 1 updated, 40 unchanged"


def test_the_total_of_an_update_without_changes_says_so(update: Update) -> None:
    update.take(summaryEvent={"resourceChanges": {"same": 43}})
    assert update.milestones.total() == "nothing changed in 43 resources"


def test_an_image_that_is_deleted_is_not_built(update: Update) -> None:
    update.begin("delete", IMAGE, "image-flow", "FlowImage")
    assert update.milestones.describe() == "deleting image-flow 0.0 s"
