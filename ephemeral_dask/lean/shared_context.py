"""Workaround: Prefect writes out all settings and the flow run for each task, 30 ms of processor time and 16 KB.

https://github.com/PrefectHQ/prefect/pull/20853 tried to keep what does not change between tasks for another task
runner, and was closed. Here it is written once per run and sent to the scheduler once per cluster. Each worker gets it
there when it runs its first task.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import cloudpickle
from distributed import Client
from distributed.client import ClosedClientError
from prefect import context

OWN: Final = frozenset({"task_run_context", "tags_context", "asset_context"})
"""What differs from task to task, and goes with each."""

SHARED: Final = frozenset({"settings_context", "flow_run_context", "deployment_id", "deployment_parameters"})
"""What is the same for all tasks of a flow run, unless the flow changes its settings in between."""

METADATA: Final = "ephemeral-dask-context"
"""The name under which the scheduler keeps shared contexts."""

_KEPT: Final = 8
"""How many recent contexts are recognized: a flow may alternate between a few settings."""


class UnknownContextError(Exception):
    """Prefect's context has parts that this module does not know."""


@dataclass(frozen=True)
class Reference:
    """Names a shared context that a scheduler has."""

    digest: str


@dataclass(frozen=True)
class SharedContext:
    """What all tasks of a run share, written out. It travels as a reference: see `publish`.

    Attributes:
        reference: its name.
        content: a pickled dictionary, as Prefect's `serialize_context` returns it.

    """

    reference: Reference
    content: bytes

    def __reduce__(self) -> Any:
        return Reference, (self.reference.digest,)


@dataclass(frozen=True)
class TaskContext:
    """The context of one task.

    Attributes:
        shared: what it shares with the other tasks of the run.
        own: the rest, in the form of Prefect's `serialize_context`.

    """

    shared: SharedContext | Reference
    own: dict[str, Any]


@dataclass(frozen=True)
class Entered:
    """The shared context that a worker has entered for a task, for the tasks that this task submits itself.

    Attributes:
        reference: its name.
        parts: what Prefect would write out.

    """

    reference: Reference
    parts: list[Any]


ENTERED: Final[ContextVar[Entered | None]] = ContextVar("ephemeral_dask_entered", default=None)

_lock: Final = threading.Lock()
_recent: Final[deque[tuple[list[Any], SharedContext]]] = deque(maxlen=_KEPT)
_sent: Final[weakref.WeakKeyDictionary[Client, set[str]]] = weakref.WeakKeyDictionary()


def task_context(client: Client, asset_context: dict[str, Any]) -> TaskContext:
    """Return the current context for a task that is about to be submitted.

    Args:
        client: where it is submitted.
        asset_context: that of the task, written out.

    Raises:
        ClosedClientError: the scheduler is gone.
        UnknownContextError: Prefect has a context that would be lost.

    """
    task_run = context.TaskRunContext.get()
    own = {
        "task_run_context": task_run.serialize() if task_run else {},
        "tags_context": context.TagsContext.get().serialize(),
        "asset_context": asset_context,
    }
    task_context = TaskContext(shared=_shared(), own=own)
    publish(client, task_context)
    return task_context


def publish(client: Client | None, task_context: Any) -> None:
    """Send the shared part of a task's context to the client's scheduler, if that has not got it yet.

    Raises:
        ClosedClientError: the scheduler is gone.

    """
    shared = getattr(task_context, "shared", None)
    if client is not None and isinstance(shared, SharedContext):
        with _lock:
            sent = _sent.setdefault(client, set())
        if shared.reference.digest not in sent:
            try:
                client.set_metadata([METADATA, shared.reference.digest], shared.content)  # type: ignore[no-untyped-call]
            except OSError as error:
                # What Dask raises for a task whose cluster is gone.
                raise ClosedClientError("The scheduler cannot be given the context of this flow run") from error
            sent.add(shared.reference.digest)


def parts() -> list[Any]:
    """Return the objects that the shared context is made of. While they are the same ones, so is the context."""
    settings, flow_run = context.SettingsContext.get(), context.FlowRunContext.get()
    objects = [settings, flow_run, context._deployment_id.get(), context._deployment_parameters.get()]  # noqa: SLF001
    if flow_run is not None:
        objects += vars(flow_run).values()
        objects += vars(flow_run.flow_run).values() if flow_run.flow_run is not None else ()
        objects += (flow_run.parameters or {}).values()
    return objects


def _shared() -> SharedContext | Reference:
    current = parts()
    entered = ENTERED.get()
    if entered is not None and _same(entered.parts, current):
        return entered.reference
    with _lock:
        recent = list(_recent)
    shared: SharedContext
    for known, shared in reversed(recent):
        if _same(known, current):
            return shared
    shared = _written()
    with _lock:
        _recent.append((current, shared))
    return shared


def _same(known: list[Any], current: list[Any]) -> bool:
    return len(known) == len(current) and all(one is other for one, other in zip(known, current, strict=True))


def _written() -> SharedContext:
    written = context.serialize_context()
    if unknown := written.keys() ^ (SHARED | OWN):
        raise UnknownContextError(", ".join(sorted(unknown)))
    content = cloudpickle.dumps({name: written[name] for name in sorted(SHARED)})
    return SharedContext(Reference(hashlib.blake2b(content, digest_size=20).hexdigest()), content)
