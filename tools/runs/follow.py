"""Follow a run to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from rich.console import Console

from tools.errors import Problem
from tools.progress import duration
from tools.runs import artifacts, failure
from tools.runs.counts import Progress, TaskCounts, count_tasks
from tools.runs.dask_cluster import ClusterView, ClusterWatch
from tools.runs.log import Line, RunLog
from tools.runs.screen import Screen
from tools.runs.session import Session

_POLL: Final = 1.0
"""Seconds between two looks at a run's state and log."""
_COUNT: Final = 2.0
"""Seconds between two looks at its tasks and its Dask cluster, which cost the server more."""
_LAST_LINES: Final = 4.0
"""Seconds after a run's end in which its last log lines may still arrive."""
_GONE: Final = 60.0
"""Seconds after a run's end until its Dask cluster must be on its way out."""
_UNKNOWN: Final = 10.0
"""Seconds for which Kubernetes is asked about it when it does not answer."""


class Follower:
    """Shows one run until it has ended.

    Args:
        client: of the stack's Prefect API.
        session: the stack.
        screen: where its log and its progress are shown.
        output: where its artifacts and its result are printed.

    """

    def __init__(self, client: PrefectClient, session: Session, screen: Screen, output: Console) -> None:
        self._client = client
        self._session = session
        self._screen = screen
        self._output = output
        self._family: list[UUID] = []
        self._counts = TaskCounts()
        self._cluster: ClusterView | None = None
        self._progress = Progress()

    async def follow(self, flow_run: FlowRun, title: str) -> FlowRun:
        """Show a run from its start to its end, and return it.

        Args:
            flow_run: at any point of its life.
            title: what it is called in the last line.

        Raises:
            Problem: its Dask cluster is not being deleted a minute after its end.

        """
        self._family = [flow_run.id]
        log = RunLog(self._client, flow_run.created or datetime.now(UTC))
        async with ClusterWatch(self._session.namespace, self._session.kubeconfig) as cluster:
            flow_run = await self._watch(flow_run, log, cluster)
            ended = time.monotonic()
            await self._last_lines(log)
            await self._show_outcome(flow_run)
            await self._require_cleanup(flow_run, cluster, ended)
        self._show_end(flow_run, title)
        return flow_run

    async def await_end(self, flow_run: FlowRun, title: str) -> FlowRun:
        """Wait for a run's end without showing its log, and return it.

        Raises:
            Problem: its Dask cluster is not being deleted a minute after its end.

        """
        self._family = [flow_run.id]
        async with ClusterWatch(self._session.namespace, self._session.kubeconfig) as cluster:
            while flow_run.state is None or not flow_run.state.is_final():
                self._show_progress(flow_run)
                await asyncio.sleep(_POLL)
                flow_run = await self._client.read_flow_run(flow_run.id)
            await self._find_subflows()
            await self._require_cleanup(flow_run, cluster, time.monotonic())
        self._show_end(flow_run, title)
        return flow_run

    def _show_end(self, flow_run: FlowRun, title: str) -> None:
        state = flow_run.state
        ran = (
            (flow_run.end_time - flow_run.start_time).total_seconds()
            if flow_run.end_time and flow_run.start_time
            else 0
        )
        took = f" after {duration(ran)}" if ran else ""
        good = bool(state and state.is_completed())
        self._screen.line(f"    {title}: {state.name if state else 'unknown'}{took}", "green" if good else "red")

    async def _watch(self, flow_run: FlowRun, log: RunLog, cluster: ClusterWatch) -> FlowRun:
        shown = ""
        counted_at = 0.0
        while True:
            flow_run = await self._client.read_flow_run(flow_run.id)
            final = flow_run.state is not None and flow_run.state.is_final()
            for line in await log.lines(self._family):
                self._show(line)
            if flow_run.state_name and flow_run.state_name != shown and not final:
                shown = flow_run.state_name
                self._screen.line(f"    {_elapsed(flow_run):>5}  {shown}", "bold")
            if final or time.monotonic() - counted_at >= _COUNT:
                counted_at = time.monotonic()
                await self._count(cluster, final=final)
            if final:
                return flow_run
            self._show_progress(flow_run)
            await asyncio.sleep(_POLL)

    async def _count(self, cluster: ClusterWatch, *, final: bool) -> None:
        await self._find_subflows()
        self._counts = await count_tasks(self._client, self._family)
        if not final:
            self._cluster = await cluster.look(self._family)

    async def _find_subflows(self) -> None:
        parents = list(self._family)
        while parents:
            by_parent = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parents))
            children = [each.id for each in await self._client.read_flow_runs(flow_run_filter=by_parent)]
            parents = [each for each in children if each not in self._family]
            self._family += parents

    def _show_progress(self, flow_run: FlowRun) -> None:
        tasks = self._progress.text(self._counts, self._cluster)
        elapsed = (datetime.now(UTC) - flow_run.created).total_seconds() if flow_run.created else 0.0
        self._screen.progress(flow_run.state_name or "", tasks, elapsed, urgent=f"{self._counts.failed} failed")

    def _show(self, line: Line) -> None:
        style = "red" if line.level >= logging.ERROR else "yellow" if line.level >= logging.WARNING else ""
        self._screen.line(f"    {line}", style)

    async def _last_lines(self, log: RunLog) -> None:
        """Show what still arrives: the pod sends its last lines a moment after its last state."""
        deadline = time.monotonic() + _LAST_LINES
        while True:
            complete = log.is_complete
            for line in await log.lines(self._family, rest=True):
                self._show(line)
            if complete or time.monotonic() >= deadline:
                return
            await asyncio.sleep(_POLL / 4)

    async def _show_outcome(self, flow_run: FlowRun) -> None:
        counts = await self._final_counts()
        if counts.started:
            failed = f", {counts.failed} failed" if counts.failed else ", none failed"
            self._screen.line(f"    tasks: {counts.started}{failed}")
        if flow_run.state and not flow_run.state.is_completed():
            for line in await failure.explain(self._client, flow_run, self._family):
                self._screen.line(f"    {line}", "red")
        await artifacts.print_artifacts(self._client, flow_run.id, self._family[1:], self._output)

    async def _final_counts(self) -> TaskCounts:
        """Return the counts of an ended run; task runs are recorded a moment after they have ended."""
        await self._find_subflows()
        deadline = time.monotonic() + _LAST_LINES
        counts = await count_tasks(self._client, self._family)
        while counts.ended < counts.started and time.monotonic() < deadline:
            await asyncio.sleep(_POLL / 2)
            counts = await count_tasks(self._client, self._family)
        return counts

    async def _require_cleanup(self, flow_run: FlowRun, cluster: ClusterWatch, ended: float) -> None:
        """Return as soon as the run's Dask clusters are gone or being deleted."""
        announced = False
        while True:
            view = await cluster.look(self._family, tasks=False)
            if view is not None and not view.exists:
                return
            if view is None and time.monotonic() - ended > _UNKNOWN:
                self._screen.line("    Kubernetes does not answer, so the Dask cluster may still be there", "yellow")
                return
            if time.monotonic() - ended > _GONE:
                where = f"kubectl --namespace {self._session.namespace}"
                if view is None:
                    self._screen.line(
                        "    Kubernetes did not answer: whether the Dask cluster is gone is not known", "yellow"
                    )
                    return
                raise Problem(
                    f"The Dask cluster of run {flow_run.name} is still there {duration(_GONE)} after the run's end",
                    remedy=f"See `{where} describe daskclusters` for what keeps it; the reaper deletes it otherwise",
                )
            if not announced and time.monotonic() - ended > _LAST_LINES:
                announced = True
                self._screen.line("    waiting for the Dask cluster's deletion")
            await asyncio.sleep(_POLL / 2)


def _elapsed(flow_run: FlowRun) -> str:
    seconds = int((datetime.now(UTC) - flow_run.created).total_seconds()) if flow_run.created else 0
    return f"{seconds // 60}:{seconds % 60:02d}"


def exit_status(flow_run: FlowRun) -> int:
    """Return 0 for a run that ended Completed, 1 for any other."""
    return 0 if flow_run.state is not None and flow_run.state.is_completed() else 1
