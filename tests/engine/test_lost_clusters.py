"""Runs whose Dask scheduler is killed, on real schedulers, real workers and a real Prefect server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import FlowRunContext
from prefect.futures import as_completed, wait
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect_dask import get_dask_client

from ephemeral_dask.lost import ClusterLostError
from ephemeral_dask.submission import NO_RERUN
from ephemeral_dask.task_runner import EphemeralDaskTaskRunner
from tests.engine.conftest import QUIET
from tests.support import scratch_prefect
from tests.support.dask_processes import ProcessClusters
from tools.cluster.wait import until

pytestmark = pytest.mark.xdist_group("lost-clusters")
"""The tests share a server."""

START = 240
"""Seconds for the start of a cluster and of a task on it, on a busy machine."""

RECORDED = 120
"""Seconds in which a busy server records the states of task runs."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prefect server with its services: one of them records the states of task runs."""
    with scratch_prefect.running(tmp_path_factory.mktemp("prefect-with-services"), settings=QUIET) as address:
        yield address


@dataclass
class Stage:
    """What a test's flows and tasks share: a folder with a file for each call, and one that lets tasks end."""

    folder: Path
    clusters: ProcessClusters
    runs: list[UUID] = field(default_factory=list)

    def calls(self, name: str) -> int:
        """Return how often a task of that name was called, in whatever process."""
        return len(list(self.folder.glob(f"{name}.call-*")))

    def lose(self, *names: str, release: bool = True) -> None:
        """Kill the scheduler once tasks of these names run; with `release`, let tasks end from then on.

        A worker may outlive its scheduler for long enough to end a task and tell Prefect: a test that expects tasks to
        crash does not release them.
        """
        assert until(lambda: all(self.calls(name) for name in names), seconds=START), f"{names} did not start"
        assert until(lambda: self.known() >= len(names), seconds=START), "Prefect does not know them"
        self.clusters.current.kill_scheduler()
        if release:
            self.release()

    def known(self) -> int:
        """Return how many task runs Prefect knows to have begun: a worker that is killed tells no more."""
        only = FlowRunFilter(id=FlowRunFilterId(any_=[self.runs[-1]]))
        with get_client(sync_client=True) as client:
            return len([one for one in client.read_task_runs(flow_run_filter=only) if one.start_time is not None])

    def release(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def stage(server: str, tmp_path: Path) -> Iterator[Stage]:
    for name in ("dask", "prefect", "calls"):
        (tmp_path / name).mkdir()
    environment = {
        "PREFECT_API_URL": server,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    clusters = ProcessClusters(tmp_path / "dask", environment=environment)
    with temporary_settings({PREFECT_API_URL: server, PREFECT_HOME: tmp_path / "prefect"}):
        yield Stage(tmp_path / "calls", clusters)
    for cluster in clusters.opened:
        cluster.end()


def call(folder: Path, name: str) -> None:
    """Record a call."""
    for number in range(100):
        try:
            os.close(os.open(folder / f"{name}.call-{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return


def blocked(folder: Path, name: str) -> None:
    """Record a call and wait until tasks may end."""
    call(folder, name)
    assert until((folder / "go").exists, seconds=START)


@task
def one(folder: Path, number: int) -> int:
    blocked(folder, f"one-{number}")
    return number


@task
def quick(folder: Path, number: int) -> int:
    call(folder, f"quick-{number}")
    return number


@task(persist_result=True)
def stored(folder: Path, number: int) -> int:
    call(folder, f"stored-{number}")
    return number


@task
def total(folder: Path, numbers: list[int], other: int = 0) -> int:
    blocked(folder, "total")
    return sum(numbers) + other


@task
def parent(folder: Path) -> int:
    call(folder, "parent")
    return sum(child.result() for child in one.map(folder, [1, 2]))


@task(tags=[NO_RERUN])
def pay(folder: Path) -> None:
    blocked(folder, "pay")


def run(stage: Stage, body: Callable[[], Any]) -> Any:
    """Run a function as a flow and return its result."""

    @flow(name="lost", task_runner=EphemeralDaskTaskRunner(stage.clusters))
    def lost() -> Any:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        stage.runs.append(context.flow_run.id)
        return body()

    return lost()


def states(stage: Stage) -> tuple[str, dict[str, list[str]]]:
    """Return the state of the last run and those of its task runs by task, once none of these is under way."""
    only = FlowRunFilter(id=FlowRunFilterId(any_=[stage.runs[-1]]))
    with get_client(sync_client=True) as client:

        def task_runs() -> dict[str, list[str]]:
            names: dict[str, list[str]] = {}
            for task_run in client.read_task_runs(flow_run_filter=only):
                names.setdefault(task_run.name.rpartition("-")[0], []).append(str(task_run.state_type))
            return {name: sorted(one.removeprefix("StateType.") for one in each) for name, each in names.items()}

        def settled() -> bool:
            return not {"RUNNING", "PENDING", "SCHEDULED"} & {one for each in task_runs().values() for one in each}

        until(settled, seconds=RECORDED)
        flow_run = client.read_flow_run(stage.runs[-1])
        return str(flow_run.state_type).removeprefix("StateType."), task_runs()


def test_mapped_tasks_and_those_that_take_their_futures_in_a_list_go_on_in_a_new_cluster(stage: Stage) -> None:
    def body() -> int:
        numbers = one.map(stage.folder, [1, 2, 3])
        result = total.submit(stage.folder, [*numbers], other=quick.submit(stage.folder, 4))
        stage.lose("one-1", "quick-4")
        return int(result.result())

    assert run(stage, body) == 10
    assert len(stage.clusters.opened) == 2
    assert stage.clusters.discarded == [(("scheduler 1 was killed",), False), (("scheduler 1 was killed",), True)]
    expected = {"one": ["COMPLETED"] * 3, "total": ["COMPLETED"], "quick": ["COMPLETED"]}
    # The last task runs are not known at once.
    assert until(lambda: states(stage) == ("COMPLETED", expected), seconds=RECORDED, interval=0.5), states(stage)


def test_a_stored_result_is_not_computed_again_and_a_lost_one_only_for_a_task_that_needs_it(stage: Stage) -> None:
    def body() -> list[int]:
        kept, lost, needed = (
            stored.submit(stage.folder, 1),
            quick.submit(stage.folder, 2),
            quick.submit(stage.folder, 3),
        )
        assert needed.result() == 3
        before = quick.submit(stage.folder, 4)
        wait_until_called = one.submit(stage.folder, 5, wait_for=[kept, lost, before])
        result = total.submit(stage.folder, [kept, needed, wait_until_called])
        stage.lose("one-5")
        return [result.result(), kept.result()]

    assert run(stage, body) == [9, 1]
    assert [stage.calls(name) for name in ("stored-1", "quick-2", "quick-3", "quick-4")] == [1, 1, 1, 1]
    state, tasks = states(stage)
    assert (state, tasks["stored"], tasks["quick"]) == ("COMPLETED", ["COMPLETED"], ["COMPLETED"] * 3)


def test_a_result_that_was_lost_is_computed_again_when_the_flow_asks_for_it_or_gives_it_to_a_task(stage: Stage) -> None:
    def body() -> list[int]:
        asked, argument, waited = (quick.submit(stage.folder, number) for number in (1, 2, 3))
        blocking = one.submit(stage.folder, 4, wait_for=[asked, argument, waited])
        stage.lose("one-4")
        first = blocking.result()
        wait([waited])
        return [first, total.submit(stage.folder, [argument]).result(), asked.result()]

    assert run(stage, body) == [4, 2, 1]
    assert [stage.calls(f"quick-{number}") for number in (1, 2, 3)] == [2, 2, 1]
    assert states(stage)[0] == "COMPLETED"


def test_a_task_that_was_waited_for_left_its_result_in_the_cluster_and_tells_its_state(stage: Stage) -> None:
    def body() -> int:
        at_hand, lost = quick.submit(stage.folder, 1), quick.submit(stage.folder, 2)
        wait([at_hand, lost])
        assert at_hand.state.is_completed()
        blocking = one.submit(stage.folder, 3)
        stage.lose("one-3")
        return int(total.submit(stage.folder, [blocking, at_hand, lost]).result())

    assert run(stage, body) == 6
    assert [stage.calls(f"quick-{number}") for number in (1, 2)] == [1, 2]
    assert states(stage)[0] == "COMPLETED"


def test_a_flow_that_takes_results_as_they_come_gets_each_of_them_once(stage: Stage) -> None:
    def body() -> list[int]:
        futures = [*one.map(stage.folder, [1, 2]), quick.submit(stage.folder, 3)]
        first = next(future for future in as_completed(futures) if future is futures[2])
        stage.lose("one-1", "one-2")
        return sorted([first.result(), *(future.result() for future in as_completed(futures) if future is not first)])

    assert run(stage, body) == [1, 2, 3]
    assert states(stage) == ("COMPLETED", {"one": ["COMPLETED"] * 2, "quick": ["COMPLETED"]})


def test_a_task_that_submits_tasks_runs_again_and_leaves_no_child_unfinished(stage: Stage) -> None:
    def body() -> int:
        future = parent.submit(stage.folder)
        stage.lose("one-1", "one-2")
        return int(future.result())

    assert run(stage, body) == 3
    assert stage.calls("parent") == 2
    state, tasks = states(stage)
    assert (state, tasks["parent"]) == ("COMPLETED", ["COMPLETED"])
    assert set(tasks["one"]) <= {"COMPLETED", "CRASHED"}
    assert tasks["one"].count("COMPLETED") >= 2


def test_a_scheduler_that_says_goodbye_is_replaced_like_one_that_does_not(stage: Stage) -> None:
    def body() -> int:
        future = one.submit(stage.folder, 1)
        assert until(lambda: stage.calls("one-1"), seconds=START)
        stage.clusters.current.scheduler.terminate()
        # Else the task may end before the scheduler does.
        stage.clusters.current.scheduler.wait(START)
        stage.release()
        return int(future.result())

    assert run(stage, body) == 1
    assert len(stage.clusters.opened) == 2


def test_a_run_whose_restarts_are_used_up_ends_crashed_with_the_cause_and_its_tasks_too(stage: Stage) -> None:
    stage.clusters.limit = 1

    def body() -> int:
        future = one.submit(stage.folder, 1)
        assert until(lambda: stage.known() == 1, seconds=START)
        stage.clusters.current.kill_scheduler()
        assert until(lambda: stage.calls("one-1") == 2, seconds=START)
        stage.clusters.current.kill_scheduler()
        return int(future.result())

    with pytest.raises(ClusterLostError, match=r"scheduler 2 was killed.*1 times.*Without a result: one"):
        run(stage, body)
    assert states(stage) == ("CRASHED", {"one": ["CRASHED"]})
    assert [last for _, last in stage.clusters.discarded] == [False, True]


def test_without_restarts_the_first_loss_ends_the_run_also_for_as_completed(stage: Stage) -> None:
    stage.clusters.limit = 0

    def body() -> list[int]:
        futures = one.map(stage.folder, [1, 2])
        stage.lose("one-1", "one-2", release=False)
        return [future.result() for future in as_completed(futures)]

    with pytest.raises(ClusterLostError, match=r"Without a result: one \(2x\)"):
        run(stage, body)
    assert states(stage) == ("CRASHED", {"one": ["CRASHED"] * 2})
    assert len(stage.clusters.opened) == 1


def test_a_task_that_must_not_run_twice_ends_the_run_with_its_name_before_another_cluster_starts(stage: Stage) -> None:
    def body() -> None:
        future = pay.submit(stage.folder)
        stage.lose("pay", release=False)
        future.wait()

    with pytest.raises(ClusterLostError, match="pay must not run again"):
        run(stage, body)
    assert stage.calls("pay") == 1
    assert states(stage) == ("CRASHED", {"pay": ["CRASHED"]})
    assert len(stage.clusters.opened) == 1


def test_a_task_that_must_not_run_twice_runs_in_the_new_cluster_if_it_had_not_begun(stage: Stage) -> None:
    def body() -> int:
        first = one.submit(stage.folder, 1)
        paid = pay.submit(stage.folder, wait_for=[first])
        stage.lose("one-1")
        paid.result()
        return int(first.result())

    assert run(stage, body) == 1
    assert stage.calls("pay") == 1


def test_work_that_went_to_dask_past_prefect_ends_the_run_crashed_with_the_cause(stage: Stage) -> None:
    def body() -> Any:
        with get_dask_client() as client:
            future = client.submit(blocked, stage.folder, "raw")
            assert until(lambda: stage.calls("raw"), seconds=START)
            stage.clusters.current.kill_scheduler()
            return future.result()

    with pytest.raises(ClusterLostError, match="scheduler 1 was killed"):
        run(stage, body)
    assert states(stage) == ("CRASHED", {})


def test_an_async_flow_goes_on_in_a_new_cluster(stage: Stage) -> None:
    @flow(name="lost", task_runner=EphemeralDaskTaskRunner(stage.clusters))
    async def lost() -> int:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        stage.runs.append(context.flow_run.id)
        future = one.submit(stage.folder, 1)
        stage.lose("one-1")
        return future.result()

    assert asyncio.run(lost()) == 1
    assert states(stage) == ("COMPLETED", {"one": ["COMPLETED"]})
