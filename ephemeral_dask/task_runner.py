"""Prefect's task runner for Dask, with a cluster that may be replaced while the flow runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from distributed import get_worker
from distributed.client import ClosedClientError
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.utilities.collections import visit_collection
from prefect_dask.task_runners import PrefectDaskFuture

from ephemeral_dask import raw_client
from ephemeral_dask.clusters import Clusters
from ephemeral_dask.future import ChildFuture, RecoverableFuture
from ephemeral_dask.lean.task_runner import LeanDaskTaskRunner
from ephemeral_dask.recovery import Recovery
from ephemeral_dask.task_input import log_input

if TYPE_CHECKING:
    from prefect.tasks import Task

Log = logging.Logger | logging.LoggerAdapter[Any]


class EphemeralDaskTaskRunner(LeanDaskTaskRunner):
    """Runs tasks on Dask clusters that belong to the run, one after the other; failed tasks log their arguments.

    In a task that submits tasks itself, it uses the cluster of that task, and leaves its loss to the flow pod.

    Args:
        clusters: where the run's clusters come from.

    """

    def __init__(self, clusters: Clusters) -> None:
        self.clusters = clusters
        self._recovery: Recovery | None = None
        self._client_of_worker: Any = None
        self._in_task = False
        super().__init__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EphemeralDaskTaskRunner) and self.clusters == other.clusters

    __hash__ = None  # type: ignore[assignment]  # as that of the superclass

    def duplicate(self) -> EphemeralDaskTaskRunner:
        return type(self)(self.clusters)

    @property
    def name(self) -> str:
        return "ephemeral-dask"

    @property
    def recovery(self) -> Recovery | None:
        """What has the clusters of the run; None on a worker, and before the first use."""
        return self._recovery

    @property
    def _client(self) -> Any:
        """What the superclass keeps, and `get_dask_client` reads: a flow may call that before it submits a task."""
        return self._client_of_worker if self._in_task or not self._started else self.client

    @_client.setter
    def _client(self, client: Any) -> None:
        self._client_of_worker = client

    @property
    def client(self) -> Any:
        """The client of the run's cluster, which is started first if there is none.

        Raises:
            ClusterStartError: it did not start.
            ClusterLostError: it was lost and not replaced.

        """
        if self._in_task:
            return super().client
        return self._begin().client

    # Prefect's overloads tell tasks by what they return, which does not matter here.
    def submit(  # type: ignore[override]
        self, task: Task[..., Any], *args: Any, **kwargs: Any
    ) -> PrefectDaskFuture[Any]:
        if log_input not in task.on_failure_hooks:
            task.on_failure_hooks.append(log_input)
        if self._in_task:
            future: PrefectDaskFuture[Any] = super().submit(task, *args, **kwargs)
            return ChildFuture(task_run_id=future.task_run_id, wrapped_future=future.wrapped_future)
        while True:
            client, recovery = self.client, self._begin()
            with recovery.lock:
                try:
                    future = super().submit(task, *args, **kwargs)
                except ClosedClientError:
                    if not client.is_lost():
                        raise
                    continue
                return recovery.track(RecoverableFuture(future.wrapped_future, recovery))

    def __enter__(self) -> Self:
        self._in_task = _on_worker()  # here, because a task may submit others from threads of its own
        enter: Any = super().__enter__  # which carries no annotation
        enter()
        return self

    def __exit__(self, *args: object) -> None:
        recovery, self._recovery = self._recovery, None
        if recovery is not None:
            recovery.close()
        super().__exit__(*args)

    def _begin(self) -> Recovery:
        if self._recovery is None:
            raw_client.install()
            self._recovery = Recovery(self.clusters, run_log)
        return self._recovery

    def _optimize_futures(self, expr: Any) -> Any:
        recovery = self._recovery
        if recovery is None:
            return super()._optimize_futures(expr)

        def visit(part: Any) -> Any:
            if isinstance(part, RecoverableFuture):
                return recovery.input_of(part)
            return part.wrapped_future if isinstance(part, PrefectDaskFuture) else part

        return visit_collection(expr, visit_fn=visit, return_data=True)


def run_log() -> Log:
    """Return the log of the run, or another one outside a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("ephemeral_dask")


def _on_worker() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True
