"""The run that RUN names."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterName,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from tools.errors import Problem

_LIVE = [StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]
_LISTED = 10
"""Runs that an error message lists."""


async def find(client: PrefectClient, run: str) -> FlowRun:
    """Return a run.

    Args:
        client: of the stack's Prefect API.
        run: its id or name, of several with that name the newest; empty for the newest of all. Subflow runs and runs
            that are scheduled for later are not considered for an empty one.

    Raises:
        Problem: there is none.

    """
    try:
        return await client.read_flow_run(UUID(run))
    except (ValueError, ObjectNotFound):
        pass  # a name, which may look like an id
    if run:
        run_filter = FlowRunFilter(name=FlowRunFilterName(any_=[run]))
    else:
        run_filter = _begun(FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)))
    if runs := await _newest(client, run_filter, 1):
        return runs[0]
    if not run:
        raise Problem("There is no run yet", remedy="Start one: make run FLOW=<flow>/<deployment>")
    newest = await _newest(client, _begun(FlowRunFilterExpectedStartTime(before_=datetime.now(UTC))), _LISTED)
    raise Problem(f"There is no run '{run}'", remedy=_remedy("the newest are", newest))


async def list_live(client: PrefectClient) -> str:
    """Return a remedy that names the runs which have not ended."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_LIVE))
    return _remedy("runs that have not ended", await _newest(client, FlowRunFilter(state=state), _LISTED))


async def _newest(client: PrefectClient, run_filter: FlowRunFilter, count: int) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_run_filter=run_filter, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=count
    )


def _begun(before: FlowRunFilterExpectedStartTime) -> FlowRunFilter:
    return FlowRunFilter(expected_start_time=before, parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=True))


def _remedy(title: str, runs: list[FlowRun]) -> str:
    lines = [f"  {run.name} ({run.id}, {run.state_name})" for run in runs]
    return "Set RUN=<id or name>; " + ("\n".join([f"{title}:", *lines]) if lines else "there is none")
