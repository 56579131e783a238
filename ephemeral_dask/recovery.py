"""A run outlives its Dask cluster: when that is lost, a new one takes its place and the tasks without a result."""

from __future__ import annotations

import contextvars
import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from ephemeral_dask import rerun, task_runs
from ephemeral_dask.clients import RunClient
from ephemeral_dask.clusters import Clusters
from ephemeral_dask.future import RecoverableFuture
from ephemeral_dask.lost import ClusterLostError, WorkersKilledError
from ephemeral_dask.submission import NO_RERUN, Submission

Log = logging.Logger | logging.LoggerAdapter[Any]

_NAMED: Final = 5
"""Tasks that a message names at most."""

_JOIN: Final = 30.0
"""Seconds that the end of a run waits for a start that it has abandoned."""


@dataclass(frozen=True)
class _Generation:
    """A cluster and the client of the run that uses it."""

    cluster: Any
    client: RunClient


@dataclass(frozen=True)
class _Plan:
    """What must run so that some futures get a result, and the states that need no cluster."""

    submissions: list[Submission]
    value: Callable[[Submission], State[Any] | None]


class Recovery:
    """The Dask clusters of one attempt of a flow run, one after the other, and the futures that outlive them.

    Args:
        clusters: where they come from.
        log: of the run.

    """

    def __init__(self, clusters: Clusters, log: Callable[[], Log]) -> None:
        self._clusters = clusters
        self._find_log = log
        self._log: Log = logging.getLogger(__name__)
        self._lock = threading.RLock()
        self._current: _Generation | None = None
        self._futures: weakref.WeakSet[RecoverableFuture[Any]] = weakref.WeakSet()
        self._lost: list[str] = []
        self._retired: list[RunClient] = []
        self._ended: ClusterLostError | None = None
        self._abandoned = threading.Event()
        self._threads: list[threading.Thread] = []
        self._context = contextvars.copy_context()
        self._flow_run_id: UUID | None = None

    @property
    def lock(self) -> threading.RLock:
        """Held while a cluster is replaced, and while a task is submitted."""
        return self._lock

    @property
    def client(self) -> RunClient:
        """The client of the current cluster, which is opened or replaced first if need be.

        Raises:
            ClusterLostError: it was lost and not replaced.

        """
        with self._lock:
            if self._current is None and self._ended is None:
                self._context = contextvars.copy_context()
                self._log = self._find_log()
                context = FlowRunContext.get()
                self._flow_run_id = context.flow_run.id if context and context.flow_run else None
                self._current = self._open()
            if self._current is not None and self._current.client.lost.is_set():
                self._replace(self._current)
            if self._ended is not None or self._current is None:
                raise self._ended or ClusterLostError("the run is over")
            return self._current.client

    def track(self, future: RecoverableFuture[Any]) -> RecoverableFuture[Any]:
        """Keep a future alive beyond its cluster."""
        self._futures.add(future)
        return future

    def input_of(self, future: RecoverableFuture[Any]) -> Any:
        """Return what stands for a future among the arguments of a task that is submitted now."""
        with self._lock:
            client = self.client
            if future.wrapped_future.client is not client and not future.settled:
                self.obtain(future)
            return future.wrapped_future if future.wrapped_future.client is client else future.final

    def obtain(self, future: RecoverableFuture[Any]) -> None:
        """Give a future whose result was lost with its cluster another Dask future, or its stored state."""
        with self._lock:
            client = self.client
            if not future.settled and future.wrapped_future.client is not client:
                self._resubmit([future])

    def explain(self, error: BaseException, submission: Submission) -> BaseException:
        """Return what a task run ends with that Dask gave up, and end it in Prefect as well."""
        if not isinstance(error, KilledWorker):
            return error
        with self._lock:
            cluster = self._current.cluster if self._current is not None else None
        try:
            why = self._clusters.why_killed(cluster, error)
        except Exception as unknown:  # noqa: BLE001 - the task has ended all the same
            why = f"Why is not known: {unknown}"
        killed = WorkersKilledError(
            f"Task {submission.task!r} was given up: each of the {error.allowed_failures + 1} workers that ran it was "
            f"killed. {why}"
        )
        self._log.error("%s", killed)
        if self._flow_run_id is not None:
            task_runs.crash(self._flow_run_id, {submission.task_run_id}, str(killed), self._log)
        return killed

    def cause(self) -> ClusterLostError:
        """Return what work ends with that went to a lost cluster past Prefect."""
        with self._lock:
            if self._current is not None and self._current.client.lost.wait(1):
                self._replace(self._current)
            why = self._lost[-1] if self._lost else "the connection to the scheduler was lost"
        return self._ended or ClusterLostError(
            f"The run's Dask cluster was lost: {why}. What went to it through a Dask client of the flow's own cannot "
            "be submitted again."
        )

    def close(self) -> None:
        """End the cluster, and a start that is under way."""
        self._abandoned.set()
        for thread in self._threads:
            thread.join(_JOIN)
        with self._lock:
            current, self._current = self._current, None
            self._ended = self._ended or ClusterLostError("the run is over")
            for client in (*self._retired, *([current.client] if current is not None else ())):
                with suppress(Exception):
                    client.retire()
            if current is not None:
                self._clusters.discard(current.cluster, self._lost, last=True)

    def _open(self) -> _Generation:
        cluster = self._clusters.open(self._abandoned)
        try:
            client = RunClient(cluster, on_lost=self._on_lost, set_as_default=False)
            self._clusters.watch(cluster, client)
            return _Generation(cluster, client)
        except BaseException:
            self._clusters.discard(cluster, self._lost, last=True)
            raise

    def _on_lost(self, client: RunClient) -> None:
        def replace() -> None:
            with self._lock:
                if self._current is not None and self._current.client is client and not self._abandoned.is_set():
                    self._replace(self._current)

        thread = threading.Thread(target=self._context.copy().run, args=(replace,), name="dask-recovery", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _replace(self, lost: _Generation) -> None:
        """Bring up a new cluster in place of a lost one, or end the run. The lock is held."""
        self._retired.append(lost.client)
        self._current = None
        unfinished = [future for future in self._futures if future.pending]
        try:
            self._replace_for(lost, unfinished)
        except Exception as error:  # noqa: BLE001 - no one would wake those who wait
            if self._ended is None and not self._abandoned.is_set():
                why = self._lost[-1] if self._lost else "its scheduler is gone"
                self._end(f"{why}. No other one could be started: {error}", unfinished)

    def _replace_for(self, lost: _Generation, unfinished: list[RecoverableFuture[Any]]) -> None:
        self._lost.append(self._clusters.why_lost(lost.cluster))
        allowed = self._clusters.restarts()
        last = len(self._lost) > allowed
        self._clusters.discard(lost.cluster, self._lost, last=last)
        if last:
            self._end(f"{self._lost[-1]}. It may be replaced {allowed} times (dask.restarts)", unfinished)
            return
        if self._ends_for(self._plan(unfinished).submissions, unfinished):
            return
        self._log.warning(
            "The run's Dask cluster was lost: %s. Restart %d of %d: a new one takes the %d tasks that have no result.",
            self._lost[-1],
            len(self._lost),
            allowed,
            len(unfinished),
        )
        self._current = self._open()
        if self._flow_run_id is not None:
            roots = {future.task_run_id for future in unfinished}
            message = "Its Dask cluster was lost. The task that submitted it runs again."
            task_runs.crash(self._flow_run_id, roots, message, self._log, children_only=True)
        self._resubmit(unfinished)

    def _plan(self, futures: Iterable[RecoverableFuture[Any]]) -> _Plan:
        targets = [future.submission for future in futures if not future.settled]
        known = rerun.reachable(targets)
        states = task_runs.states([one.task_run_id for one in known if one.state is None], self._log)
        stored = rerun.learn(known, states)
        at_hand = {future.task_run_id: future.final for future in self._futures if future.final is not None}

        def value(submission: Submission) -> State[Any] | None:
            state = stored.pop(submission.task_run_id, None) if submission.state is None else None
            if state is not None and task_runs.readable(state):
                submission.state, submission.finished = state, True
            return submission.state or at_hand.get(submission.task_run_id)

        return _Plan(rerun.to_run([one for one in targets if value(one) is None], value), value)

    def _ends_for(self, submissions: Iterable[Submission], futures: list[RecoverableFuture[Any]]) -> bool:
        """End the run if a task would have to run again that must not; return whether it is so."""
        forbidden = [one for one in submissions if one.no_rerun and rerun.may_have_run(one)]
        if forbidden:
            self._end(f"{self._lost[-1]}. {_names(forbidden)} must not run again (tag {NO_RERUN})", futures)
        return bool(forbidden)

    def _resubmit(self, futures: list[RecoverableFuture[Any]]) -> None:
        """Submit what the futures need to the current cluster. The lock is held."""
        plan = self._plan(futures)
        if self._ends_for(plan.submissions, futures):
            return
        client = self._current.client if self._current is not None else None
        live = {future.task_run_id: future for future in self._futures if not future.settled}
        new: dict[UUID, Any] = {}

        def value(submission: Submission, result_is_used: bool) -> Any:
            if submission.task_run_id in new:
                return new[submission.task_run_id]
            state = plan.value(submission)
            return state if result_is_used or state is not None else rerun.stand_in(submission)

        for one in plan.submissions:
            one.finished = False
            try:
                new[one.task_run_id] = one.submit_to(client, value)
            except ClosedClientError:
                return  # lost again: the thread that this starts takes what is left
            if one.task_run_id in live:
                live[one.task_run_id].follow(new[one.task_run_id])
        for future in futures:
            state = plan.value(future.submission) if future.task_run_id not in new else None
            if state is not None and not future.settled:
                future.settle(state)
        if plan.submissions:
            self._log.info("Submitted again to the new Dask cluster: %s", _names(plan.submissions))

    def _end(self, why: str, unfinished: list[RecoverableFuture[Any]]) -> None:
        names = f" Without a result: {_names([each.submission for each in unfinished])}." if unfinished else ""
        self._ended = ClusterLostError(f"The run's Dask cluster was lost: {why}.{names}")
        self._log.error("%s", self._ended)
        if self._flow_run_id is not None:
            roots = {future.task_run_id for future in unfinished}
            task_runs.crash(self._flow_run_id, roots, str(self._ended), self._log)
        for future in unfinished:
            future.fail(self._ended)


def _names(submissions: Iterable[Submission]) -> str:
    """Return the tasks' names with how often each occurs, a few of them."""
    counts: dict[str, int] = {}
    for one in submissions:
        counts[one.task] = counts.get(one.task, 0) + 1
    shown = [f"{name} ({count}x)" if count > 1 else name for name, count in list(counts.items())[:_NAMED]]
    return ", ".join(shown) + (" and others" if len(counts) > _NAMED else "")
