"""Why a run did not complete: its first failed task with its input, and one traceback."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    LogFilter,
    LogFilterFlowRunId,
    LogFilterTaskRunId,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
    TaskRunFilterSubFlowRuns,
)
from prefect.client.schemas.objects import FlowRun, Log, StateType, TaskRun
from prefect.client.schemas.sorting import LogSort

from tools.runs import traceback_text
from tools.runs.log import INPUT, PAGE, TRACEBACK


async def explain(client: PrefectClient, flow_run: FlowRun, flow_runs: Sequence[UUID]) -> list[str]:
    """Return the lines that say why the run did not complete.

    Args:
        client: of the stack's Prefect API.
        flow_run: that has ended.
        flow_runs: its id and those of its subflow runs.

    """
    failed = await _failed_tasks(client, flow_runs)
    lines: list[str] = []
    trace: list[str] = []
    if failed:
        first = min(failed, key=lambda run: (run.end_time is None, run.end_time))
        logs = await _logs(client, LogFilter(task_run_id=LogFilterTaskRunId(any_=[first.id])))
        lines = [f"failed: task {first.name}{_others(len(failed))}"]
        lines += [f"  input: {log.message.removeprefix(INPUT)}" for log in logs if log.message.startswith(INPUT)][-1:]
        trace = _last_trace(logs)
        if not trace and first.state and first.state.message:
            trace = first.state.message.splitlines()
    if not trace:
        logs = await _logs(client, LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run.id])))
        trace = _last_trace([log for log in logs if log.task_run_id is None])
    if not trace and flow_run.state and flow_run.state.message:
        trace = flow_run.state.message.splitlines()
    return [*lines, *(f"  {line}" for line in trace)]


async def _failed_tasks(client: PrefectClient, flow_runs: Sequence[UUID]) -> list[TaskRun]:
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.FAILED, StateType.CRASHED]))
    task_filter = TaskRunFilter(
        flow_run_id=TaskRunFilterFlowRunId(any_=list(flow_runs)),
        state=state,
        subflow_runs=TaskRunFilterSubFlowRuns(exists_=False),
    )
    return await client.read_task_runs(task_run_filter=task_filter)


async def _logs(client: PrefectClient, log_filter: LogFilter) -> list[Log]:
    """Return the newest lines, the oldest of them first."""
    return (await client.read_logs(log_filter, limit=PAGE, sort=LogSort.TIMESTAMP_DESC))[::-1]


def _last_trace(logs: Sequence[Log]) -> list[str]:
    text = next((log.message for log in reversed(logs) if TRACEBACK in log.message), "")
    return traceback_text.show(text)


def _others(count: int) -> str:
    return f", the first of {count}{' or more' if count >= PAGE else ''} failed tasks" if count > 1 else ""
