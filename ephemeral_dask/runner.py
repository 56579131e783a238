"""The task runner that a flow's author names, and the cluster that it opens at the first submitted task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask.base import annotate
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

from ephemeral_dask import missing_objects, result_space
from ephemeral_dask.bill import Bill
from ephemeral_dask.contract import release
from ephemeral_dask.flow_result import show_result
from ephemeral_dask.groups import LARGE
from ephemeral_dask.identity import current_run
from ephemeral_dask.local import LocalRunCluster, local_cluster
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings, SettingsError
from ephemeral_dask.task_runner import EphemeralDaskTaskRunner, run_log

if TYPE_CHECKING:
    import threading

    from distributed.deploy.cluster import Cluster
    from distributed.scheduler import KilledWorker

    from ephemeral_dask.identity import RunIdentity

_bills: dict[RunIdentity, Bill] = {}
"""What the clusters of each run of this process have taken. Not in `RunClusters`, which is sent to Dask workers."""


def ephemeral_dask(
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    worker_cpu: str | float | None = None,
    worker_memory: str | int | None = None,
    worker_threads: int | None = None,
    idle_timeout: int | None = None,
    start_timeout: int | None = None,
    scaling: str | None = None,
    report: str | None = None,
    restarts: int | None = None,
    profile: str | None = None,
) -> TaskRunner[PrefectFuture[Any]]:
    """Return a task runner that gives every run its own Dask cluster: `@flow(task_runner=ephemeral_dask())`.

    In Kubernetes the cluster autoscales between `minimum` and `maximum` workers and is deleted when the run ends. Job
    variables of a run or its deployment take precedence over these arguments, and these over the stack's defaults; the
    stack's ceiling bounds them all. Elsewhere the same flow gets a cluster of processes on this machine.

    Args:
        minimum: number of workers at the start and at least.
        maximum: number of workers at most.
        worker_cpu: CPU request of a worker, such as "500m" or 2.
        worker_memory: memory request and limit of a worker, such as "2Gi".
        worker_threads: tasks that a worker runs at the same time.
        idle_timeout: seconds without a task and a heartbeat of the flow pod after which the cluster is deleted.
        start_timeout: seconds until the first worker has joined, or the run fails with the cause.
        scaling: "fast" adds a worker for nearly every waiting task, "cheap" only for a minute's work each.
        report: "html" writes Dask's performance report into the result storage when the run ends.
        restarts: new clusters that the run may start when it loses its own, before it ends Crashed.
        profile: one of the stack's named sizes; the other arguments take precedence over it.

    Raises:
        SettingsError: an argument cannot be used.

    """
    sizes = CodeSizes(
        minimum=minimum,
        maximum=maximum,
        worker_cpu=worker_cpu,
        worker_memory=worker_memory,
        worker_threads=worker_threads,
        idle_timeout=idle_timeout,
        start_timeout=start_timeout,
        scaling=scaling,
        report=report,
        restarts=restarts,
        profile=profile,
    )
    # Any: its annotations do not fit what Prefect's own @flow asks of a task runner.
    task_runner: Any = EphemeralDaskTaskRunner
    runner: TaskRunner[PrefectFuture[Any]] = task_runner(RunClusters(sizes))
    return runner


def large_workers() -> AbstractContextManager[None]:
    """Return a context in which submitted tasks go to the large workers of the run's profile.

    A large worker starts when such tasks wait and retires when it is idle. Where the profile has none, and outside
    Kubernetes, any worker takes these tasks. An idle large worker takes other tasks too, as usual with Dask resources.

        with large_workers():
            fitted = fit.submit(data)
    """
    context: AbstractContextManager[None] = annotate(resources={LARGE: 1})
    return context


@dataclass(frozen=True)
class RunClusters:
    """Dask clusters of the current run: in Kubernetes, or of processes on this machine."""

    sizes: CodeSizes

    def restarts(self) -> int:
        """Return how many clusters may be started after the first one."""
        return DaskSettings.from_env(os.environ, self.sizes).restarts

    def open(self, abandoned: threading.Event) -> Cluster:
        """Open a cluster with the size that the run's environment and code resolve to."""
        log = run_log()
        show_result()
        settings = DaskSettings.from_env(os.environ, self.sizes)
        for warning in settings.warnings:
            log.warning(warning)
        context = PodContext.from_env(os.environ)
        if context is None:
            if self.sizes.profile:
                log.info("Not in Kubernetes: what profile %s adds to pods is not on this machine", self.sizes.profile)
            return local_cluster(settings, log)
        if missing := list(missing_objects.in_flow_pod(context.pods.flow, os.environ, context.namespace)):
            raise SettingsError(f"{'. '.join(missing)}.")
        if skew := release.skew(os.environ):
            log.warning(skew)
        if full := result_space.warning(os.environ):
            log.warning(full)
        # 1.5 s of imports that are needed in Kubernetes only.
        from ephemeral_dask import artifacts  # noqa: PLC0415
        from ephemeral_dask.cluster import RunCluster  # noqa: PLC0415

        run = current_run()
        bill = _bills.setdefault(run, Bill(run=run, context=context, log=log))
        cluster = RunCluster(run=run, context=context, settings=settings, log=log, abandoned=abandoned, bill=bill)
        artifacts.dashboard(run, context.dashboard_of(cluster.name), cluster.dashboard_link, log)
        return cluster

    def watch(self, cluster: Any, client: Any) -> None:
        """Explain the workers that are lost from now on, with a client that is connected to the cluster."""
        if isinstance(cluster, LocalRunCluster):
            cluster.measure(client)
        else:
            cluster.watch(client)

    def why_lost(self, cluster: Any) -> str:
        """Return why a cluster was lost, in words."""
        if isinstance(cluster, LocalRunCluster):
            return "its scheduler on this machine has ended"
        return str(cluster.why_lost())

    def why_killed(self, cluster: Any, error: KilledWorker) -> str:
        """Return why the workers died on which a task was tried, in words."""
        if cluster is None or isinstance(cluster, LocalRunCluster):
            return "A worker process that ends by itself has often taken more memory than there is."
        return str(cluster.why_killed(error))

    def discard(self, cluster: Any, losses: Sequence[str], *, last: bool) -> None:
        """End a cluster, lost or not."""
        if isinstance(cluster, LocalRunCluster):
            cluster.end(losses, summary=last)
            return
        cluster.discard(losses, last=last)
        if last:
            _bills.pop(cluster.run, None)
