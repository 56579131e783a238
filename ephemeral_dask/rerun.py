"""Which tasks run again when a Dask cluster was lost. Pure: what is known about each of them comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State, StateDetails
from prefect.results import ResultRecordMetadata  # type: ignore[attr-defined]  # where it used to be defined
from prefect.states import Completed

if TYPE_CHECKING:
    from uuid import UUID

    from ephemeral_dask.submission import Submission


def reachable(submissions: Iterable[Submission]) -> list[Submission]:
    """Return submissions and all that they need, in the order in which they were submitted."""
    members: dict[UUID, Submission] = {}
    waiting = list(submissions)
    while waiting:
        one = waiting.pop()
        if one.task_run_id not in members:
            members[one.task_run_id] = one
            waiting += [*one.inputs, *one.predecessors]
    return sorted(members.values(), key=lambda one: one.number)


def learn(submissions: Iterable[Submission], known: Mapping[UUID, State[Any]]) -> dict[UUID, State[Any]]:
    """Take over what the server knows, and return the states that name a stored result.

    A failure counts only if Dask has reported the end of the task as well: a task that lost its cluster while it ran
    may have failed because of that.
    """
    stored = {}
    for one in submissions:
        state = known.get(one.task_run_id)
        if state is None or one.state is not None or not state.is_final():
            continue
        if state.is_completed():
            if isinstance(state.data, ResultRecordMetadata):
                stored[one.task_run_id] = state
        elif one.finished:
            one.state = state
    return stored


def to_run(targets: Iterable[Submission], value: Callable[[Submission], State[Any] | None]) -> list[Submission]:
    """Return the targets, and what they need that is not there any more, in order of submission.

    Args:
        targets: tasks that must run.
        value: returns the final state of a task that can be handed on without the lost cluster, or None.

    """
    needed: dict[UUID, Submission] = {}
    waiting = list(targets)
    while waiting:
        one = waiting.pop()
        if one.task_run_id in needed:
            continue
        needed[one.task_run_id] = one
        waiting += [each for each in one.inputs if value(each) is None]
        waiting += [each for each in one.predecessors if not each.finished and value(each) is None]
    return sorted(needed.values(), key=lambda each: each.number)


def may_have_run(submission: Submission) -> bool:
    """Return whether a task may have begun: only one whose inputs were not there yet has certainly not."""
    return submission.finished or all(one.finished for one in (*submission.inputs, *submission.predecessors))


def stand_in(submission: Submission) -> State[Any]:
    """Return a state for a task that another one only waits for. Its result is gone, and not asked for."""
    details = StateDetails(task_run_id=submission.task_run_id)
    return Completed(message="Its result was lost with its Dask cluster.", data="lost", state_details=details)
