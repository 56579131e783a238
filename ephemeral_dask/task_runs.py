"""What Prefect's server knows about the task runs of a flow run, and their end where nothing else reports it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.states import Crashed

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import State, TaskRun

_PAGE: Final = 100
"""Task runs in one request: at most 200 are answered."""

_PARENTS: Final = "__parents__"
"""The input of a task run that names the task run which submitted it."""

Log = logging.Logger | logging.LoggerAdapter[Any]


def states(ids: Iterable[UUID], log: Log) -> dict[UUID, State[Any]]:
    """Return the state of each task run that the server knows; none if it does not answer."""
    known: dict[UUID, State[Any]] = {}
    try:
        with get_client(sync_client=True) as client:
            for page in _pages(list(ids)):
                only = TaskRunFilter(id=TaskRunFilterId(any_=page))
                for task_run in client.read_task_runs(task_run_filter=only, limit=_PAGE):
                    if task_run.state is not None:
                        known[task_run.id] = task_run.state
    except Exception as error:  # noqa: BLE001 - what the server does not tell is computed again
        log.warning("Prefect's server did not tell which tasks have a stored result: %s", error)
    return known


def readable(state: State[Any]) -> bool:
    """Return whether the result that a state names is really there. Prefect names some that were never written."""
    get_result: Any = state.result  # whose annotation forgets _sync
    try:
        get_result(raise_on_failure=False, retry_result_failure=False, _sync=True)
    except Exception:  # noqa: BLE001 - any kind of storage, and of what was stored
        return False
    return True


def crash(flow_run_id: UUID, roots: Collection[UUID], message: str, log: Log, *, children_only: bool = False) -> None:
    """Set task runs, and those that they submitted, to Crashed, where the server has them without a final state.

    Args:
        flow_run_id: the run that they belong to.
        roots: ids of task runs.
        message: of the state.
        log: of the run.
        children_only: leave the roots themselves alone, because they run again.

    """
    if not roots:
        return
    try:
        with get_client(sync_client=True) as client:
            for task_run in _family(list(_unfinished(client, flow_run_id)), roots):
                if not (children_only and task_run.id in roots):
                    client.set_task_run_state(task_run.id, Crashed(message=message), force=True)
    except Exception as error:  # noqa: BLE001 - a run does not fail because of it
        log.warning("Task runs that were lost keep their state in Prefect: %s", error)


def _unfinished(client: Any, flow_run_id: UUID) -> Iterator[TaskRun]:
    states = TaskRunFilterStateType(any_=[one for one in StateType if one not in TERMINAL_STATES])
    filters = {
        "flow_run_filter": FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        "task_run_filter": TaskRunFilter(state=TaskRunFilterState(type=states)),
    }
    offset = 0
    while page := client.read_task_runs(**filters, limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)


def _family(task_runs: list[TaskRun], roots: Collection[UUID]) -> list[TaskRun]:
    """Return those of the roots, of the task runs that they submitted, of those that these submitted, and so on."""
    family = set(roots)
    while True:
        children = {one.id for one in task_runs if one.id not in family and _parents(one) & family}
        if not children:
            return [one for one in task_runs if one.id in family]
        family |= children


def _parents(task_run: TaskRun) -> set[UUID]:
    return {parent.id for parent in task_run.task_inputs.get(_PARENTS, []) if hasattr(parent, "id")}


def _pages(ids: list[UUID]) -> Iterator[list[UUID]]:
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))
