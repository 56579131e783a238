"""A run of the verification flow in one work pool, followed until nothing of it is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterLevel,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType, WorkPool
from prefect.client.schemas.sorting import LogSort
from prefect.states import Cancelling

from ephemeral_dask.contract import verification
from tools.errors import Problem
from tools.progress import duration
from tools.verify import registered
from tools.verify.objects import RunObjects
from tools.verify.registered import Registered
from tools.verify.report import Row, failed, ok, unknown

TAKEN_WITHIN: Final = 90.0
"""Seconds within which a worker takes a run. It polls every 10 s or so."""

REACTS_WITHIN: Final = 30.0
"""Seconds within which a working operator sets the phase of a new DaskCluster; it takes one."""

GONE_WITHIN: Final = 90.0
"""Seconds after the end of a run until none of its Kubernetes objects may exist."""

_ENDS_WITHIN: Final = 60.0
"""Seconds that a cancelled run may take to end."""

_OCCUPYING: Final = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


class Verification:
    """One run.

    Args:
        client: of the stack's Prefect API.
        objects: what Kubernetes has of a run.
        pool: the work pool.
        created: the run.
        deadline: seconds until the run must have ended.
        stack: its name.
        clock: a monotonic one.

    """

    def __init__(
        self,
        client: SyncPrefectClient,
        objects: RunObjects,
        pool: WorkPool,
        created: Registered,
        *,
        deadline: float,
        stack: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._objects, self._pool, self._stack = client, objects, pool, stack
        self._created, self._run = created, created.run
        self._deadline, self._clock, self._start = deadline, clock, clock()
        self._operator: Row | None = None
        self._handed_over: float | None = None
        self._why = ""

    @property
    def _title(self) -> str:
        return f"flow run in pool {self._pool.name}"

    @property
    def clean_up_title(self) -> str:
        """What the row of its end is called."""
        return f"clean-up in pool {self._pool.name}"

    @property
    def _operator_title(self) -> str:
        return f"Dask operator, in pool {self._pool.name}"

    def describe(self) -> str:
        """Return one line about the present moment."""
        return f"{self._title}: {self._run.state_name} after {duration(self._clock() - self._start)}"

    def is_over(self) -> bool:
        """Look at the run once, and return whether it has ended or is given up."""
        self._run = self._client.read_flow_run(self._run.id)
        if self._is_final():
            return True
        age = self._clock() - self._start
        if self._run.state_type is StateType.SCHEDULED and age > TAKEN_WITHIN:
            self._why = self._why_not_taken()
        elif not self._reacts():
            self._why = "the Dask operator does not react, so the run was cancelled"
        elif age > self._deadline:
            self._why = f"it was still {self._run.state_name} after {duration(age)}, and was cancelled"
        return bool(self._why)

    def rows(self) -> Iterator[Row]:
        """Yield what the run has shown about the operator, and about itself."""
        yield self._operator or unknown(self._operator_title, "not checked, because no DaskCluster was created")
        state = self._run.state
        if state is not None and state.is_completed():
            took = duration(self._clock() - self._start)
            yield ok(self._title, f"{verification.NUMBERS} tasks on Dask, after {took}")
            return
        log = f"make logs RUN={self._run.name} STACK={self._stack} shows its log"
        yield failed(self._title, self._why or self._cause(), f"Correct what it names; {log}")

    def clean_up(self) -> Row:
        """Wait until Kubernetes has nothing of the run, delete a completed one from Prefect, and return the outcome."""
        title = self.clean_up_title
        if not self._end():
            command = f"make cancel RUN={self._run.name} STACK={self._stack}"
            return failed(title, f"run {self._run.name} does not end: it is {self._run.state_name}", command)
        started = self._clock()
        while (left := self._left()) and self._clock() - started <= GONE_WITHIN:
            time.sleep(1)
        if left:
            return failed(
                title,
                f"{duration(GONE_WITHIN)} after the end of the run there is still {', '.join(left)}",
                "See the log of deployment/dask-reaper; kubectl describe shows what keeps an object",
            )
        where = f"nothing is left in Kubernetes after {duration(self._clock() - started)}"
        if self._run.state is None or not self._run.state.is_completed():
            return ok(title, f"{where}; the run stays in Prefect until the next verification")
        registered.delete(self._client, self._created)
        return ok(title, f"{where}, nor in Prefect")

    def _cause(self) -> str:
        """Return the state of the run with its message, and the last error of its log."""
        state = self._run.state
        words = [str(self._run.state_name), state.message if state is not None and state.message else ""]
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._run.id]), level=LogFilterLevel(ge_=logging.ERROR))
        for log in self._client.read_logs(of_run, limit=1, sort=LogSort.TIMESTAMP_DESC):
            words += log.message.strip().splitlines()[-1:]
        return ": ".join(filter(None, words))

    def _is_final(self) -> bool:
        return self._run.state is not None and self._run.state.is_final()

    def _why_not_taken(self) -> str:
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool.name]))
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_OCCUPYING))
        runs = self._client.read_flow_runs(work_pool_filter=pool, flow_run_filter=FlowRunFilter(state=state), limit=200)
        limit = self._pool.concurrency_limit
        if limit is not None and len(runs) >= limit:
            return f"all {limit} slots of the work pool are taken by other runs, so it did not start"
        return f"no worker has taken it within {TAKEN_WITHIN:.0f} s"

    def _reacts(self) -> bool:
        """Return whether the operator has handled the run's DaskCluster, or still has time to."""
        if self._operator is not None:
            return True
        title = self._operator_title
        try:
            cluster = self._objects.cluster(self._run.id)
        except Problem as problem:
            self._operator = unknown(title, f"{problem.what}: {problem.detail}", problem.remedy)
            return True
        if cluster is None:
            return True
        if self._handed_over is None:
            self._handed_over = self._clock()
        waited = self._clock() - self._handed_over
        if cluster.get("status", {}).get("phase"):
            self._operator = ok(title, f"it has handled the DaskCluster within {max(waited, 1):.0f} s")
        elif waited > REACTS_WITHIN:
            what = f"it has not handled DaskCluster {cluster['metadata']['name']} for {waited:.0f} s"
            remedy = "See the log of deployment/dask-operator, or of the operator that `dask.operator` names"
            self._operator = failed(title, what, remedy)
            return False
        return True

    def _end(self) -> bool:
        """Cancel the run if it has not ended, and return whether it has."""
        if not self._is_final():
            with suppress(httpx.HTTPStatusError):
                self._client.set_flow_run_state(self._run.id, Cancelling())
        deadline = self._clock() + _ENDS_WITHIN
        while not self._is_final() and self._clock() < deadline:
            time.sleep(1)
            self._run = self._client.read_flow_run(self._run.id)
        return self._is_final()

    def _left(self) -> list[str]:
        try:
            return self._objects.names(self._run.id)
        except Problem as problem:
            return [f"an unknown number of objects: {problem.what}"]
