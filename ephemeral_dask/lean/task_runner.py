"""Prefect's task runner for Dask, which submits tasks the shorter way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from distributed import Future
from prefect.client.schemas.objects import RunInput
from prefect.context import AssetContext
from prefect.tasks import Task
from prefect.utilities.engine import collect_task_run_inputs_sync
from prefect_dask.client import PrefectDaskClient
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from ephemeral_dask.lean import releases
from ephemeral_dask.lean.packed_task import PackedTask
from ephemeral_dask.lean.shared_context import UnknownContextError, task_context
from ephemeral_dask.lean.worker import TaskCall


class LeanDaskTaskRunner(DaskTaskRunner):
    """A `DaskTaskRunner` that takes a fraction of the time per task. With an untested Prefect it is just that."""

    _stock = False

    # Prefect's overloads tell tasks by what they return, which does not matter here.
    def submit(  # type: ignore[override]
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[Any] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectDaskFuture[Any]:
        """Submit a task, and return its future.

        Raises:
            RuntimeError: the task runner is not started.

        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        if not self._stock and (reason := releases.untested()):
            self._fall_back(reason)
        if not self._stock:
            parameters, wait_for = self._optimize_futures(parameters), self._optimize_futures(wait_for)
            try:
                return submitted(self.client, task, parameters, wait_for or None, dependencies or {})
            except UnknownContextError as error:
                self._fall_back(f"an unknown context of Prefect: {error}")
        future: PrefectDaskFuture[Any] = super().submit(task, parameters, wait_for, dependencies)
        return future

    def _fall_back(self, reason: str) -> None:
        self._stock = True
        self.logger.info("Tasks are submitted as prefect-dask does it, which takes longer, because of %s", reason)


def submitted(
    client: PrefectDaskClient,
    task: Task[..., Any],
    parameters: dict[str, Any],
    wait_for: Any,
    dependencies: Mapping[str, set[RunInput]],
) -> PrefectDaskFuture[Any]:
    """Submit a task to Dask, and return its future.

    Args:
        client: of the Dask cluster.
        task: the task.
        parameters: what it is called with; inputs are Dask futures.
        wait_for: Dask futures that must have ended before.
        dependencies: task runs that the parameters came from.

    Raises:
        UnknownContextError: a part of Prefect's context would be lost.

    """
    task_run_id = uuid4()
    inputs = {
        name: collect_task_run_inputs_sync(value, future_cls=Future) | dependencies.get(name, set())
        for name, value in parameters.items()
    }
    context = task_context(client, _asset_context(task, task_run_id, inputs))
    # That of Dask, or of a class between both: the client of prefect-dask has its own way.
    submit: Callable[..., Any] = super(PrefectDaskClient, client).submit
    future = submit(
        TaskCall(task),
        task=PackedTask(task),
        task_run_id=task_run_id,
        parameters=parameters,
        wait_for=wait_for,
        dependencies=inputs,
        return_type="state",
        context=context,
        # No name is made from a hash of all arguments, as complex ones take long:
        # https://github.com/PrefectHQ/prefect/issues/18191. The task run's ID makes it unique anyway.
        pure=False,
    )
    future.task_run_id = task_run_id
    return PrefectDaskFuture(wrapped_future=future, task_run_id=task_run_id)


def _asset_context(task: Task[..., Any], task_run_id: Any, inputs: dict[str, set[Any]]) -> dict[str, Any]:
    written: dict[str, Any] = AssetContext.from_task_and_inputs(
        task=task, task_run_id=task_run_id, task_inputs=inputs, copy_to_child_ctx=True
    ).serialize()
    return written
