"""Faults below runs that are under way side by side, on the stack of this tier; others are in tests/full/faults."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest

from ephemeral_dask.contract.causes import Cause
from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.machine import Deployed
from tests.e2e.newcomer import Newcomer
from tests.e2e.outage import LiveRuns
from tests.e2e.runs import (
    ended,
    jobs,
    kill,
    left,
    logged,
    pods,
    run_name,
    summary,
    task_states,
    task_states_become,
    trend,
    wait_for_tasks,
    working,
)
from tools.cluster.wait import until

OUTAGE = 300
"""Seconds without a server: Prefect renews a lease every 225 s, and so misses one at least."""

NO_DIGEST = f"@sha256:{'0' * 64}"


@pytest.fixture
def greedy(deployed: Deployed) -> str:
    """Return a run whose task needs more memory than a worker has."""
    return _begun(deployed, "greedy/default")


@pytest.fixture
def without_image(deployed: Deployed) -> str:
    """Return a run of a deployment with one place, whose image does not exist."""
    repository = deployed.newcomer.shell("pulumi stack output flowImage").output.partition("@")[0].strip()
    return _begun(deployed, "patient/one", "--job-variable", f"image={repository}{NO_DIGEST}")


def _begun(deployed: Deployed, deployment: str, *options: str) -> str:
    if deployment not in deployed.begun:
        deployed.begun[deployment] = deployed.newcomer.start(deployment, *options)
    return deployed.begun[deployment]


@pytest.fixture
def damaged(deployed: Deployed) -> Mapping[str, str]:
    """Kill the scheduler of one run and a worker of another one, both during their tasks; once per stack.

    Returns:
        `scheduler` and `worker`: the pods; `without scheduler` and `without worker`: their runs.

    """
    newcomer, begun = deployed.newcomer, deployed.begun
    if "scheduler" not in begun:
        # One after the other: neither waits for the other's tasks while its own come to their end.
        first = newcomer.start("steps/default", "--param", "count=60")
        wait_for_tasks(newcomer, first)
        [begun["scheduler"]] = pods(newcomer, first, "scheduler")
        kill(newcomer, begun["scheduler"])
        second = newcomer.start("steps/default", "--param", "count=60")
        wait_for_tasks(newcomer, second)
        begun["worker"] = working(newcomer, second)
        kill(newcomer, begun["worker"])
        begun["without scheduler"], begun["without worker"] = first, second
    return begun


@pytest.mark.usefixtures("without_image", "greedy")
def test_a_run_goes_on_in_a_new_cluster_when_its_scheduler_is_killed(
    newcomer: Newcomer, damaged: Mapping[str, str]
) -> None:
    run = damaged["without scheduler"]
    assert ended(newcomer, run, seconds=480)[0] == "COMPLETED", logged(newcomer, run)
    log = logged(newcomer, run)
    assert "Restart 1 of 2" in log
    assert f"{Cause.DELETED}: pod {damaged['scheduler']}" in log
    # The flow's process writes the summary after the final state.
    assert until(lambda: "clusters lost | 1; " in summary(newcomer, run), seconds=60, interval=2), logged(newcomer, run)
    assert task_states_become(newcomer, run, {"COMPLETED"}), task_states(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_goes_on_when_a_worker_is_killed_during_its_task(newcomer: Newcomer, damaged: Mapping[str, str]) -> None:
    run = damaged["without worker"]
    assert ended(newcomer, run, seconds=480)[0] == "COMPLETED", logged(newcomer, run)
    log = logged(newcomer, run)
    assert "A Dask worker was lost with " in log
    named = re.search(f"{Cause.DELETED}: the pod of worker (.+) at tls://", log)
    assert named, log
    assert damaged["worker"].startswith(named[1])
    assert task_states_become(newcomer, run, {"COMPLETED"}), task_states(newcomer, run)
    # The flow's process writes the summary after the final state, and then the trend.
    name = run_name(newcomer, run)
    assert until(lambda: name in trend(newcomer, "steps-default"), seconds=60, interval=2), name
    text = summary(newcomer, run)
    assert "clusters lost" not in text
    assert "| workers lost | " in text
    assert "by the largest |" in text  # workers have reported the memory that they used
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_task_that_needs_more_memory_than_its_worker_has_ends_the_run_with_the_numbers(
    newcomer: Newcomer, greedy: str
) -> None:
    kind, message = ended(newcomer, greedy, seconds=300)
    assert kind == "CRASHED", message
    assert "Task 'fill' was given up" in message
    assert "memory" in message
    assert "limit 416 MiB" in message
    # Prefect sends what is logged in batches, the last of them after the final state.
    assert until(lambda: "Its last log lines:" in logged(newcomer, greedy), seconds=60, interval=2), logged(
        newcomer, greedy
    )
    assert "A Dask worker was lost with 1 unfinished task: " in logged(newcomer, greedy)
    assert until(lambda: task_states(newcomer, greedy) == ["CRASHED"], seconds=120, interval=1), task_states(
        newcomer, greedy
    )
    assert until(lambda: not left(newcomer, greedy), seconds=60, interval=1), left(newcomer, greedy)


def test_a_run_whose_image_is_missing_is_crashed_with_the_cause_and_leaves_nothing(
    newcomer: Newcomer, without_image: str
) -> None:
    kind, message = ended(newcomer, without_image, seconds=PENDING_TIMEOUT + 90)
    assert kind == "CRASHED", message
    assert f"did not start within {PENDING_TIMEOUT} s: {Cause.IMAGE_PULL}" in message
    assert NO_DIGEST in message
    assert until(lambda: not jobs(newcomer, without_image), seconds=60, interval=1), jobs(newcomer, without_image)


def test_a_run_that_is_cancelled_while_pending_is_cancelled_at_once_and_leaves_nothing(newcomer: Newcomer) -> None:
    run = newcomer.start("patient/one", "--job-variable", "cpu_request=64")
    assert until(lambda: "pod/" in jobs(newcomer, run), seconds=120, interval=1), "the slot of the crashed run is taken"
    assert newcomer.shell(f".venv/bin/prefect flow-run cancel {run}").status == 0
    cancelled = time.monotonic()
    assert until(lambda: not jobs(newcomer, run), seconds=60, interval=1), jobs(newcomer, run)
    assert time.monotonic() - cancelled < 15
    assert ended(newcomer, run, seconds=60)[0] == "CANCELLED"


def test_runs_live_through_an_outage_of_the_server_and_one_that_died_meanwhile_is_crashed(newcomer: Newcomer) -> None:
    LiveRuns.start(newcomer, seconds=420, count=400).check_an_outage(OUTAGE)
