"""What a Dask worker calls for a task: Prefect's own task engine, in contexts that are made once per worker."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cloudpickle
from dask.utils import funcname
from distributed import get_worker
from distributed.utils import sync
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext, SettingsContext, get_settings_context, hydrated_context
from prefect.task_engine import run_task_async, run_task_sync
from pydantic import BaseModel

from ephemeral_dask.lean import tls
from ephemeral_dask.lean.packed_task import ArrivedTask
from ephemeral_dask.lean.shared_context import ENTERED, METADATA, Entered, Reference, TaskContext, parts
from ephemeral_dask.lean.worker_settings import sources

if TYPE_CHECKING:
    from prefect.settings import Profile, Settings
    from prefect.tasks import Task

_KEPT: Final = 16
"""How many shared contexts a worker keeps: one for each flow run and each change of settings."""


class TaskCall:
    """What is submitted to Dask in place of a task's function. It bears the task's name on Dask's dashboard."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.__name__ = funcname(task)

    def __call__(self, *, task: ArrivedTask, context: TaskContext, **arguments: Any) -> Any:
        """Run the task in its context and return what Prefect's engine returns."""
        called, shared = task.unpacked(), context.shared
        known = _known(shared.digest if isinstance(shared, Reference) else shared.reference.digest)
        with known.entered():
            run = {"task": called, "context": {**known.deployment, **context.own}, **arguments}
            return asyncio.run(_run_async(run)) if called.isasync else run_task_sync(**run)


async def _run_async(arguments: dict[str, Any]) -> Any:
    async with tls.AsyncClient():
        return await run_task_async(**arguments)


@dataclass(frozen=True)
class KnownContext:
    """A shared context that this worker has read.

    Attributes:
        reference: its name.
        profile: Prefect's profile.
        settings: Prefect's settings, completed with those of this worker.
        sources: what they were read from.
        flow_run: the flow run context, as Prefect makes it for a task; None outside a flow run.
        parameters: those of the flow run, pickled: each task has its own.
        deployment: the parts about the deployment, as Prefect writes them.

    """

    reference: Reference
    profile: Profile
    settings: Settings
    sources: tuple[Any, ...]
    flow_run: FlowRunContext | None
    parameters: bytes
    deployment: dict[str, Any]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter settings, client and flow run context for one task. The client and all that a task changes are new."""
        with ExitStack() as stack:
            stack.enter_context(SettingsContext(profile=self.profile, settings=self.settings))
            client = stack.enter_context(tls.SyncClient()).client
            if self.flow_run is not None and self.flow_run.flow is not None:
                runner = stack.enter_context(self.flow_run.flow.task_runner.duplicate())
                fields = {
                    **_set_fields(self.flow_run),
                    "flow_run": self.flow_run.flow_run and self.flow_run.flow_run.model_copy(),
                    "parameters": cloudpickle.loads(self.parameters),
                    # Else results would stay in memory, in a cache that one task has in Prefect.
                    "result_store": type(self.flow_run.result_store)(**_set_fields(self.flow_run.result_store)),
                    "client": client,
                    "task_runner": runner,
                }
                stack.enter_context(FlowRunContext(**fields))
            token = ENTERED.set(Entered(self.reference, parts()))
            stack.callback(ENTERED.reset, token)
            yield


def _set_fields(model: BaseModel) -> dict[str, Any]:
    """Return what a model was made from. The other fields have defaults, which each task gets for itself."""
    return {name: getattr(model, name) for name in model.model_fields_set}


_lock: Final = threading.Lock()
_contexts: Final[OrderedDict[str, tuple[bytes, KnownContext]]] = OrderedDict()


def _known(digest: str) -> KnownContext:
    """Return a shared context, read again if its settings would be other ones by now."""
    with _lock:
        content, known = _contexts.get(digest, (None, None))
        if known is None or known.sources != sources(known.settings.profiles_path):
            content = content or _fetched(digest)
            known = _read(digest, content)
            _contexts[digest] = (content, known)
        _contexts.move_to_end(digest)
        while len(_contexts) > _KEPT:
            _contexts.popitem(last=False)
    return known


def _fetched(digest: str) -> bytes:
    worker = get_worker()
    content: bytes | None = sync(worker.loop, worker.scheduler.get_metadata, keys=[METADATA, digest], default=None)
    if content is None:
        raise LookupError("The Dask scheduler does not have the context of this flow run, which was not sent to it")
    return content


def _read(digest: str, content: bytes) -> KnownContext:
    written = cloudpickle.loads(content)
    # A client that no one uses: without one, Prefect makes it and reads the CA bundle.
    unused = SyncPrefectClient("http://unused.invalid/api", httpx_settings={"verify": tls.shared_context()})
    with hydrated_context(written, client=unused):
        context, flow_run = get_settings_context(), FlowRunContext.get()
    return KnownContext(
        reference=Reference(digest),
        profile=context.profile,
        settings=context.settings,
        sources=sources(context.settings.profiles_path),
        flow_run=flow_run,
        parameters=cloudpickle.dumps(flow_run.parameters if flow_run is not None else None),
        deployment={name: written[name] for name in ("deployment_id", "deployment_parameters")},
    )
