"""What a failed task was called with, in its log: Prefect keeps only the types of a task's arguments."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, Final

from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

if TYPE_CHECKING:
    from prefect.client.schemas.objects import TaskRun
    from prefect.states import State
    from prefect.tasks import Task

INPUT: Final = "Input of this task: "
"""How the line begins."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40


class InputLoggingTaskRunner(DaskTaskRunner):
    """Prefect's task runner for Dask, whose failed tasks log their arguments."""

    def submit(self, task: Task[..., Any], *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:
        if log_input not in task.on_failure_hooks:
            task.on_failure_hooks.append(log_input)
        future: PrefectDaskFuture[Any] = super().submit(task, *args, **kwargs)
        return future


def log_input(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Log the arguments of the task run that has failed, each cut to a line."""
    context = TaskRunContext.get()
    if context is not None:
        get_run_logger().error("%s%s", INPUT, describe(context.parameters))


def describe(parameters: dict[str, Any]) -> str:
    """Return arguments as `name=value, ...`, long values cut."""
    return ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in parameters.items())
