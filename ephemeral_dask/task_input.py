"""What a failed task was called with, in its log: Prefect keeps only the types of a task's arguments."""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any, Final

from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

INPUT: Final = "Input of this task: "
"""How the line begins."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40

_SECRET: Final = re.compile(r"pass(word|wd|phrase)|secret|token|credential|api_?key|auth|private", re.IGNORECASE)
"""Names of arguments whose values no log may hold."""


def log_input(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Log the arguments of the task run that has failed, each cut to a line."""
    context = TaskRunContext.get()
    if context is not None:
        get_run_logger().error("%s%s", INPUT, describe(context.parameters))


def describe(parameters: dict[str, Any]) -> str:
    """Return arguments as `name=value, ...`: long values are cut, those of names such as `password` are masked."""
    return ", ".join(
        f"{name}={'***' if _SECRET.search(name) else _SHORT.repr(value)}" for name, value in parameters.items()
    )
