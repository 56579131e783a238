"""What a run does when its cluster is lost, with clusters, clients and a Prefect server that are only pretended.

The real ones are in tests/engine/test_lost_clusters.py.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker
from prefect.states import Completed

from ephemeral_dask import recovery, task_runs
from ephemeral_dask.future import RecoverableFuture
from ephemeral_dask.lost import ClusterLostError, WorkersKilledError
from ephemeral_dask.recovery import Recovery
from ephemeral_dask.submission import NO_RERUN, Submission


class FakeClient:
    """Takes submissions, and is lost when the test says so."""

    def __init__(self, cluster: Any, *, on_lost: Any, **_: Any) -> None:
        self.cluster, self.on_lost, self.lost, self.taken = cluster, on_lost, threading.Event(), []

    def is_lost(self) -> bool:
        return self.lost.is_set()

    def retire(self) -> None: ...


class FakeDaskFuture:
    def __init__(self, client: FakeClient, submission: Submission) -> None:
        self.client, self.submission, self.task_run_id = client, submission, submission.task_run_id
        self.status, self.value, self.callbacks = "pending", None, []

    def add_done_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def end(self, value: Any) -> None:
        self.status, self.value = "finished", value
        for callback in self.callbacks:
            callback(self)

    def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - Dask's
        if self.client.lost.is_set():
            raise OSError("the scheduler is gone")
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class FakeClusters:
    def __init__(self, limit: int = 1) -> None:
        self.limit, self.opened, self.discarded, self.refuse = limit, 0, [], ""

    def restarts(self) -> int:
        return self.limit

    def open(self, _abandoned: threading.Event) -> str:
        if self.refuse and self.opened:
            raise RuntimeError(self.refuse)
        self.opened += 1
        return f"cluster-{self.opened}"

    def watch(self, _cluster: Any, _client: Any) -> None: ...

    def why_lost(self, cluster: str) -> str:
        return f"{cluster} was evicted"

    def why_killed(self, cluster: str, _error: KilledWorker) -> str:
        return f"Memory of {cluster}."

    def discard(self, cluster: str, losses: Sequence[str], *, last: bool) -> None:
        self.discarded.append((cluster, tuple(losses), last))


class Run:
    """One run with pretended surroundings."""

    def __init__(self, clusters: FakeClusters) -> None:
        self.clusters = clusters
        self.log: list[str] = []
        log = SimpleNamespace(warning=self._note, error=self._note, info=self._note, debug=self._note)
        self.recovery = Recovery(clusters, lambda: log)  # type: ignore[arg-type, return-value]  # as far as it goes

    def _note(self, text: str, *words: Any) -> None:
        self.log.append(text % words)

    def submit(self, name: str, *inputs: RecoverableFuture[Any], tags: Sequence[str] = ()) -> RecoverableFuture[Any]:
        task = SimpleNamespace(name=name, tags=set(tags))
        arguments = {"task": task, "task_run_id": uuid4(), "parameters": {}, "wait_for": None}
        submission = Submission(str, arguments, frozenset())
        submission.inputs = [future.submission for future in inputs]
        client: Any = self.recovery.client
        client.taken.append(name)
        dask_future = FakeDaskFuture(client, submission)
        return self.recovery.track(RecoverableFuture(dask_future, self.recovery))

    def lose(self) -> None:
        client: Any = self.recovery.client
        client.lost.set()
        client.on_lost(client)
        for thread in self.recovery._threads:
            thread.join(10)


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    def submit_to(submission: Submission, client: Any, value: Any) -> FakeDaskFuture:
        if client.lost.is_set():
            raise ClosedClientError
        for one in submission.inputs:
            assert value(one, True) is not None
        client.taken.append(submission.task)
        return FakeDaskFuture(client, submission)

    monkeypatch.setattr(recovery, "RunClient", FakeClient)
    monkeypatch.setattr(Submission, "submit_to", submit_to)
    monkeypatch.setattr(task_runs, "states", lambda _ids, _log: {})
    monkeypatch.setattr(task_runs, "crash", lambda *_, **__: None)


def taken(run: Run) -> list[str]:
    client: Any = run.recovery.client
    names: list[str] = client.taken
    return names


def test_what_has_no_result_goes_to_the_next_cluster_with_what_it_needs_and_nothing_else() -> None:
    run = Run(FakeClusters())
    load, other = run.submit("load"), run.submit("other")
    clean = run.submit("clean", load)
    for future in (load, other):
        future.wrapped_future.end(Completed(data=1))
    run.lose()
    assert taken(run) == ["load", "clean"]
    assert run.clusters.discarded == [("cluster-1", ("cluster-1 was evicted",), False)]
    assert any("Restart 1 of 1" in line for line in run.log)
    clean.wrapped_future.end(Completed(data=2))
    assert clean.result(timeout=5) == 2


def test_a_result_that_the_flow_has_already_is_handed_to_the_task_that_needs_it() -> None:
    run = Run(FakeClusters())
    load = run.submit("load")
    load.wrapped_future.end(Completed(data=1))
    assert load.result() == 1
    clean = run.submit("clean", load)
    run.lose()
    assert "load" not in taken(run)
    assert clean.pending


def test_a_lost_result_runs_again_when_it_is_asked_for_and_not_when_it_is_waited_for() -> None:
    run = Run(FakeClusters())
    load = run.submit("load")
    load.wrapped_future.end(Completed(data=1))
    run.lose()
    load.wait()
    assert taken(run) == []
    with pytest.raises(TimeoutError):
        load.result(timeout=0.05)
    assert taken(run) == ["load"]


def test_a_task_that_is_waited_for_keeps_its_result_in_the_cluster_until_the_flow_asks_for_its_state() -> None:
    future = Run(FakeClusters()).submit("load")
    future.wrapped_future.end(Completed(data=1))
    future.wait()
    assert future.final is None
    assert future.state.is_completed()
    assert future.final is not None


def test_a_wait_for_a_task_that_dask_gave_up_ends_it_and_one_with_a_timeout_returns() -> None:
    run = Run(FakeClusters())
    given_up, running = run.submit("load"), run.submit("clean")
    given_up.wrapped_future.end(ValueError("not readable"))
    given_up.wrapped_future.status = "error"
    given_up.wait()
    assert given_up.final is not None
    assert given_up.final.is_crashed()
    running.wait(timeout=0.01)
    assert running.pending


def test_callbacks_come_once_after_the_second_cluster_has_finished_the_task() -> None:
    run = Run(FakeClusters())
    future = run.submit("load")
    calls: list[Any] = []
    future.add_done_callback(calls.append)
    first = future.wrapped_future
    run.lose()
    first.end(Completed(data=0))
    assert calls == []
    future.wrapped_future.end(Completed(data=1))
    assert calls == [future]


@pytest.mark.parametrize("limit", [0, 1])
def test_after_the_last_restart_those_who_wait_get_the_cause_and_the_names(limit: int) -> None:
    run = Run(FakeClusters(limit))
    future = run.submit("load")
    for _ in range(limit + 1):
        run.lose()
    with pytest.raises(ClusterLostError, match=rf"cluster-{limit + 1} was evicted.*Without a result: load"):
        future.wait()
    with pytest.raises(ClusterLostError):
        run.submit("more")
    assert future.state.is_crashed()
    assert run.clusters.discarded[-1][2] is True


def test_a_start_that_fails_ends_the_run_with_both_causes() -> None:
    run = Run(FakeClusters())
    run.clusters.refuse = "the namespace's quota"
    future = run.submit("load")
    run.lose()
    with pytest.raises(ClusterLostError, match=r"cluster-1 was evicted.*the namespace's quota"):
        future.result()


def test_a_task_that_must_not_run_twice_ends_the_run_and_one_that_had_not_begun_does_not() -> None:
    run = Run(FakeClusters())
    load = run.submit("load")
    pay = run.submit("pay", load, tags=[NO_RERUN])
    run.lose()
    assert taken(run) == ["load", "pay"]
    run = Run(FakeClusters())
    pay = run.submit("pay", tags=[NO_RERUN])
    run.lose()
    with pytest.raises(ClusterLostError, match="pay must not run again"):
        pay.result()
    assert run.clusters.opened == 1


def test_a_stored_result_is_taken_if_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Completed(data=1)
    for readable in (True, False):
        run = Run(FakeClusters())
        future = run.submit("load")
        monkeypatch.setattr(recovery.rerun, "learn", lambda known, _: {one.task_run_id: state for one in known})
        monkeypatch.setattr(task_runs, "readable", lambda _state, readable=readable: readable)
        run.lose()
        assert taken(run) == ([] if readable else ["load"])
        assert future.pending is not readable


def test_workers_that_were_killed_end_the_task_with_the_cause_and_no_restart() -> None:
    run = Run(FakeClusters())
    future = run.submit("fill")
    worker: Any = SimpleNamespace(address="tcp://w", name="w")
    future.wrapped_future.end(KilledWorker("fill-1", worker, 3))
    with pytest.raises(WorkersKilledError, match=r"Task 'fill' .* each of the 4 workers .* Memory of cluster-1"):
        future.result()
    assert future.state.is_crashed()
    assert run.clusters.opened == 1


def test_the_end_of_a_run_abandons_a_start_that_is_under_way() -> None:
    clusters, started = FakeClusters(), threading.Event()
    run = Run(clusters)
    run.submit("load")

    def never(abandoned: threading.Event) -> str:
        started.set()
        assert abandoned.wait(10)
        raise RuntimeError("abandoned")

    clusters.open = never  # type: ignore[method-assign]  # a cluster that does not come up
    client: Any = run.recovery.client
    client.lost.set()
    client.on_lost(client)
    assert started.wait(10)
    run.recovery.close()
    assert not any(thread.is_alive() for thread in run.recovery._threads)
    assert not any("No other one could be started" in line for line in run.log)
