"""The task runner that a flow's author names, and the cluster that it opens at the first submitted task."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from dask.base import annotate
from distributed import LocalCluster
from prefect.client.base import ServerType
from prefect.context import FlowRunContext, SettingsContext
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectFuture
from prefect.logging import get_logger, get_run_logger
from prefect.task_runners import TaskRunner

from ephemeral_dask import missing_objects
from ephemeral_dask.flow_result import show_result
from ephemeral_dask.groups import LARGE
from ephemeral_dask.identity import current_run
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings, SettingsError
from ephemeral_dask.task_input import InputLoggingTaskRunner

if TYPE_CHECKING:
    import logging

    from distributed.deploy.cluster import Cluster


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
        profile=profile,
    )
    # Any: its annotations forget cluster_kwargs, and do not fit what Prefect's own @flow asks of a task runner.
    task_runner: Any = InputLoggingTaskRunner
    runner: TaskRunner[PrefectFuture[Any]] = task_runner(cluster_class=open_cluster, cluster_kwargs={"sizes": sizes})
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


def open_cluster(sizes: CodeSizes) -> Cluster:
    """Open the Dask cluster of the current run, with the size that its environment and `sizes` resolve to."""
    log = _run_log()
    show_result()
    settings = DaskSettings.from_env(os.environ, sizes)
    for warning in settings.warnings:
        log.warning(warning)
    context = PodContext.from_env(os.environ)
    if context is None:
        if sizes.profile:
            log.info("Not in Kubernetes: what profile %s adds to pods is not on this machine", sizes.profile)
        return _local_cluster(settings, log)
    if missing := list(missing_objects.in_flow_pod(context.pods.flow, os.environ, context.namespace)):
        raise SettingsError(f"{'. '.join(missing)}.")
    # 1.5 s of imports that are needed in Kubernetes only.
    from ephemeral_dask import artifacts  # noqa: PLC0415
    from ephemeral_dask.cluster import RunCluster  # noqa: PLC0415

    run = current_run()
    cluster = RunCluster(run=run, context=context, settings=settings, log=log)
    artifacts.dashboard(run, context.dashboard_of(cluster.name), cluster.dashboard_link, log)
    return cluster


def _local_cluster(settings: DaskSettings, log: logging.Logger | logging.LoggerAdapter[Any]) -> LocalCluster:
    """Open a cluster of processes on this machine, of a fixed size: an idle process costs nothing here."""
    workers = min(settings.maximum, os.cpu_count() or 1)
    log.info("Not in Kubernetes: a Dask cluster of %d processes on this machine", workers)
    _share_temporary_server()
    return LocalCluster(  # type: ignore[no-untyped-call]  # it carries no annotation
        n_workers=workers,
        threads_per_worker=settings.worker_threads,
        dashboard_address="127.0.0.1:0",  # any free port: two flows side by side are normal
        resources={LARGE: settings.worker_threads},
    )


def _share_temporary_server() -> None:
    """Let the Dask processes report to the server that Prefect started for this process, if it did.

    Prefect hands its settings to them with every task. Without the address in these, each starts a server of
    its own, some ten seconds and 200 MiB a piece. The address stays for the rest of the process, like the server.
    """
    run, settings = FlowRunContext.get(), SettingsContext.get()
    if run is None or settings is None or run.client.server_type is not ServerType.EPHEMERAL:
        return
    shared = settings.settings.copy_with_update(updates={"api.url": str(run.client.api_url)})
    SettingsContext(profile=settings.profile, settings=shared).__enter__()


def _run_log() -> logging.Logger | logging.LoggerAdapter[Any]:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("ephemeral_dask")
