"""What happens to a run on the real cluster when its Dask scheduler or its workers are killed."""

from __future__ import annotations

from ephemeral_dask.contract.causes import Cause
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import (
    ended,
    kill,
    left,
    logged,
    scaled_down,
    state,
    task_states,
    with_tasks_under_way,
)
from tools.cluster.wait import until


def test_a_run_goes_on_when_its_whole_dask_cluster_is_deleted(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer)
    newcomer.kubectl("delete", "daskclusters", "-l", f"ephemeral-dask/flow-run={run}", "--wait=true", namespace=RUNS)
    assert ended(newcomer, run, seconds=180)[0] == "COMPLETED", logged(newcomer, run)
    assert "the object was deleted: the DaskCluster" in logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_goes_on_without_an_operator_and_leaves_nothing_once_it_is_back(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer)
    with scaled_down(newcomer, "dask-operator"):
        newcomer.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=dask-operator", "--timeout=120s")
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
