"""A task on its way to a worker, in half the bytes. The scheduler reads no more of it than that it is a task.

Its function may travel by value, with the globals that it uses, so it is written out for each submission. By reference
the scheduler would import the flow's module, which may ask Prefect for a block: a scheduler has no credential.
"""

from __future__ import annotations

import pickle
import zlib
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from prefect.tasks import Task


class PackedTask:
    """Stands for a task until Dask writes it out. What arrives is an `ArrivedTask`."""

    def __init__(self, task: Task[..., Any]) -> None:
        self._task = task
        self.name = task.name
        self.tags = task.tags

    def __reduce__(self) -> Any:
        return ArrivedTask, (zlib.compress(cloudpickle.dumps(self._task), 1),)


class ArrivedTask:
    """A task that is written out, in the scheduler and in a worker."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def unpacked(self) -> Task[..., Any]:
        """Return the task itself, whose modules this imports."""
        task: Task[..., Any] = pickle.loads(zlib.decompress(self._content))  # noqa: S301 - as all that Dask sends
        return task
