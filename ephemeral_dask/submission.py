"""One submitted task, with everything that is needed to submit it to another Dask cluster."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dask.base import annotate, get_annotations
from distributed import Client, Future
from prefect.utilities.collections import visit_collection

from ephemeral_dask.lean.shared_context import publish

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import State

NO_RERUN: Final = "no-rerun"
"""The tag of tasks that must not run twice. A run that would have to run one again ends Crashed."""

_PARAMETERS: Final = "parameters"
_WAIT_FOR: Final = "wait_for"
_CONTEXT: Final = "context"

_numbers: Final = itertools.count()


class Submission:
    """A task run of this flow run, as prefect-dask handed it to Dask.

    It holds its inputs as submissions, not as Dask futures, which would keep results in the memory of the cluster. It
    is not a dataclass, because Prefect looks for futures inside those.

    Args:
        function: what Dask calls.
        arguments: what Dask calls it with, and how it is scheduled.
        tags: those that the task run has in addition to the task's own.

    """

    task_run_id: UUID
    """Stays the same when the task runs again."""
    task: str
    """The task's name."""
    finished: bool
    """Whether it has run to an end, good or bad."""
    state: State[Any] | None
    """Its final state, where that is known and can be handed on without the cluster."""
    number: int
    """Grows with each submission."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any], tags: frozenset[str]) -> None:
        task = arguments["task"]
        self.task_run_id = arguments["task_run_id"]
        self.task = task.name
        self.no_rerun = NO_RERUN in task.tags or NO_RERUN in tags
        self.finished = False
        self.state = None
        self.number = next(_numbers)
        self.inputs: list[Submission] = []
        self.predecessors: list[Submission] = []
        self._function = function
        self._annotations = dict(get_annotations())
        self._arguments = {
            **arguments,
            _PARAMETERS: _without_futures(arguments[_PARAMETERS], self.inputs),
            _WAIT_FOR: _without_futures(arguments[_WAIT_FOR], self.predecessors),
        }

    def submit_to(self, client: Client | None, value: Callable[[Submission, bool], Any]) -> Any:
        """Submit it to another cluster and return the Dask future.

        Args:
            client: of that cluster.
            value: returns what stands for an input there, given the input and whether its result is used.

        Raises:
            ClosedClientError: that cluster is lost as well.

        """

        def resolved(argument: str) -> Any:
            def visit(part: Any) -> Any:
                return value(part, argument == _PARAMETERS) if isinstance(part, Submission) else part

            return visit_collection(self._arguments[argument], visit_fn=visit, return_data=True)

        arguments = {**self._arguments, _PARAMETERS: resolved(_PARAMETERS), _WAIT_FOR: resolved(_WAIT_FOR)}
        publish(client, self._arguments.get(_CONTEXT))
        # Dask's own method: that of prefect-dask begins another task run.
        submit: Callable[..., Any] = Client.submit
        with annotate(**self._annotations):
            future = submit(client, self._function, **{**arguments, "key": None, "pure": False})
        future.task_run_id = self.task_run_id
        future.submission = self
        return future


def _without_futures(value: Any, submissions: list[Submission]) -> Any:
    """Return a value with a submission for each Dask future in it, and add these to the list."""

    def visit(part: Any) -> Any:
        submission = getattr(part, "submission", None) if isinstance(part, Future) else None
        if submission is None:
            return part
        submissions.append(submission)
        return submission

    return visit_collection(value, visit_fn=visit, return_data=True)
