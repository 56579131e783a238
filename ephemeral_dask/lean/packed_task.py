"""A task on its way to a worker, in half the bytes.

Its function may travel by value, with the globals that it uses, so it is written out for each submission.
"""

from __future__ import annotations

import pickle
import zlib
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from prefect.tasks import Task


class PackedTask:
    """Stands for a task until Dask writes it out. What the worker reads is the task itself."""

    def __init__(self, task: Task[..., Any]) -> None:
        self._task = task
        self.name = task.name
        self.tags = task.tags

    def __reduce__(self) -> Any:
        return _unpacked, (zlib.compress(cloudpickle.dumps(self._task), 1),)


def _unpacked(content: bytes) -> Any:
    return pickle.loads(zlib.decompress(content))  # noqa: S301 - as all that Dask sends
