"""What happens to a run on the real cluster when its Dask scheduler or its workers are killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.contract.quantities import cores
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import (
    ended,
    kill,
    left,
    logged,
    pods,
    scaled_down,
    state,
    task_states,
    with_tasks_under_way,
)
from tests.full.edited import edited
from tools.cluster.wait import until

EXPENDABLE = "expendable"
PRIORITIES = {EXPENDABLE: -10, "before-expendable": -5}
"""PriorityClass -> its value: pods of the second one preempt those of the first, and no others."""


@pytest.fixture
def expendable(newcomer: Newcomer) -> Iterator[tuple[str, ...]]:
    """Provide the options of a run whose scheduler has a priority below that of all other pods."""
    for name, value in PRIORITIES.items():
        newcomer.kubectl("create", "priorityclass", name, f"--value={value}")
    stack = yaml.safe_load((newcomer.clone / "Pulumi.dev.yaml").read_text())
    profiles = stack["config"]["ephemeral-dask:dask"]["profiles"]
    profiles[EXPENDABLE] = {"scheduler": {"priorityClass": EXPENDABLE}}
    with edited(newcomer, {"Pulumi.dev.yaml": yaml.safe_dump(stack, sort_keys=False)}):
        yield "--job-variable", f"dask_profile={EXPENDABLE}"
    newcomer.kubectl("delete", "priorityclass", *PRIORITIES)


def free_cpu(newcomer: Newcomer) -> float:
    """Return the cores of the node that no pod has requested."""

    def items(kind: str, *options: str) -> list[dict[str, Any]]:
        return list(json.loads(newcomer.kubectl("get", kind, *options, "-o", "json"))["items"])

    [node] = items("nodes")
    live = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"
    containers = [each for pod in items("pods", "--all-namespaces", live) for each in pod["spec"]["containers"]]
    requests = [each.get("resources", {}).get("requests", {}) for each in containers]
    return cores(node["status"]["allocatable"]["cpu"]) - sum(cores(each["cpu"]) for each in requests if "cpu" in each)


def test_a_run_goes_on_when_its_whole_dask_cluster_is_deleted(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer)
    newcomer.kubectl("delete", "daskclusters", "-l", f"ephemeral-dask/flow-run={run}", "--wait=true", namespace=RUNS)
    assert ended(newcomer, run, seconds=180)[0] == "COMPLETED", logged(newcomer, run)
    assert "the object was deleted: the DaskCluster" in logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_goes_on_without_an_operator_and_leaves_nothing_once_it_is_back(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer)
    with scaled_down(newcomer, "dask-operator"):
        assert state(newcomer, run)[0] == "RUNNING", "the fault came too late"
        assert ended(newcomer, run, seconds=180)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)


def test_a_task_that_fills_its_disk_ends_the_run_with_the_eviction(newcomer: Newcomer) -> None:
    run = newcomer.start("hoarding/default", "--job-variable", "dask_profile=small-disk")
    kind, message = ended(newcomer, run, seconds=900)
    assert kind == "CRASHED", message
    assert "Task 'hoard' was given up" in message
    assert Cause.EVICTED in message
    assert until(lambda: task_states(newcomer, run) == ["CRASHED"], seconds=30, interval=1), task_states(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_without_restarts_a_killed_scheduler_ends_the_run_crashed_with_the_cause(newcomer: Newcomer) -> None:
    run, scheduler = with_tasks_under_way(newcomer, "--job-variable", "dask_restarts=0")
    kill(newcomer, scheduler)
    kind, message = ended(newcomer, run, seconds=60)
    assert kind == "CRASHED"
    assert f"the object was deleted: pod {scheduler}" in message
    assert "Without a result: " in message
    assert "add" in message
    assert set(task_states(newcomer, run)) <= {"COMPLETED", "CRASHED"}
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_goes_on_in_a_new_cluster_when_its_scheduler_is_evicted(newcomer: Newcomer) -> None:
    run, scheduler = with_tasks_under_way(newcomer)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": scheduler, "namespace": RUNS}}
    path = f"/api/v1/namespaces/{RUNS}/pods/{scheduler}/eviction"
    newcomer.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    log = logged(newcomer, run)
    assert "Restart 1 of 2" in log
    assert f"{Cause.EVICTED}: pod {scheduler}" in log
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_goes_on_in_a_new_cluster_when_its_scheduler_is_preempted(
    newcomer: Newcomer, expendable: tuple[str, ...]
) -> None:
    run, scheduler = with_tasks_under_way(newcomer, *expendable)
    container: dict[str, Any] = {
        "name": "urgent",
        "image": newcomer.shell("pulumi stack output flowImage").output.strip(),
        "command": ["sleep", "600"],
        # More than is free, and less than is free without the scheduler.
        "resources": {"requests": {"cpu": f"{int(free_cpu(newcomer) * 1000) + 50}m"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "urgent", "namespace": "default"},
        "spec": {
            "priorityClassName": "before-expendable",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }
    newcomer.kubectl("create", "-f", "-", stdin=json.dumps(pod), namespace="default")
    try:
        assert until(lambda: scheduler not in pods(newcomer, run, "scheduler"), seconds=90, interval=1), (
            "the fault took no effect"
        )
    finally:
        newcomer.kubectl("delete", "pod", "urgent", "--wait=true", namespace="default")
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    log = logged(newcomer, run)
    assert "Restart 1 of 2" in log
    assert f"{Cause.PREEMPTED}: pod {scheduler}" in log
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)
