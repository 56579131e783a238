"""One run's Dask cluster on Kubernetes: starts in bounded time or says why not, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dask_kubernetes.operator import KubeCluster
from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode
from distributed.core import Status
from distributed.utils import format_dashboard_link

from ephemeral_dask import artifacts, groups, kube, pulled_code, scheduler_loss, upstream
from ephemeral_dask.autoscaler import Autoscaler, Group
from ephemeral_dask.bill import Bill
from ephemeral_dask.contract import ports
from ephemeral_dask.keepalive import KeepAlive
from ephemeral_dask.kube import Kube
from ephemeral_dask.losses import Memory, Pod
from ephemeral_dask.scaling import PRESETS, Decision
from ephemeral_dask.startup import Startup
from ephemeral_dask.worker_deaths import Death, WorkerDeaths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributed.scheduler import KilledWorker
    from distributed.security import Security

    from ephemeral_dask.costs import Costs
    from ephemeral_dask.diagnosis import Diagnosis
    from ephemeral_dask.identity import RunIdentity
    from ephemeral_dask.pod_context import PodContext
    from ephemeral_dask.settings import DaskSettings
    from ephemeral_dask.usage import Usage

Log = logging.Logger | logging.LoggerAdapter[Any]

CLOSE_TIMEOUT: Final = 30.0
"""Seconds that an orderly close may take. What is left then goes with the run's Job or its idle timeout."""

_dashboard: Callable[[str, int], str] = format_dashboard_link  # typed as distributed claims, but without annotation


class RunCluster(KubeCluster):  # type: ignore[misc]  # dask-kubernetes ships no types
    """The Dask cluster of one attempt of one flow run, ready for the first task when the constructor returns.

    Args:
        run: whose cluster it is.
        context: where it goes.
        settings: how large it is.
        log: where the run's log lines go; used from another thread, so a bound one.
        abandoned: is set when no one waits for the start any more.
        bill: what earlier clusters of the run have taken.

    Raises:
        ClusterStartError: it did not start within `settings.start_timeout`, or never could.

    """

    name: str  # a property of distributed's, without annotation
    security: Security | None
    """What a client of the cluster identifies itself with: Dask's clients look for it here."""
    started: float
    """Seconds that the start took."""
    usage: Usage | None
    """What the cluster did; known once it is closed."""

    def __init__(
        self,
        *,
        run: RunIdentity,
        context: PodContext,
        settings: DaskSettings,
        log: Log,
        abandoned: threading.Event | None = None,
        bill: Bill | None = None,
    ) -> None:
        self._bill = bill or Bill(run=run, context=context, log=log)
        self._costs: Costs | None = None
        self._run = run
        self._context = context
        self._settings = settings
        self._run_log = log
        self._pulled_code = pulled_code.current()
        self._kube = Kube(context.namespace)
        self._startup = Startup(
            self._kube,
            run=run,
            context=context,
            settings=settings,
            log=log,
            abandoned=abandoned or threading.Event(),
        )
        self._deaths: WorkerDeaths | None = None
        self._scheduler_pod: Pod | None = None
        self._losses: Sequence[str] = ()
        self._lost = False
        self._summary_due = True
        self._start_task: asyncio.Task[Any] | None = None
        self._keepalive: KeepAlive | None = None
        self._autoscaler: Autoscaler | None = None
        self.security = None
        self.started = 0.0
        self.usage: Usage | None = None
        self._start_over = threading.Event()
        self.forwarded_dashboard_port = str(ports.SCHEDULER_HTTP)  # read by the superclass; nothing is forwarded
        upstream.ensure_user_name()
        try:
            super().__init__(
                custom_cluster_spec=self._startup.manifest,
                namespace=context.namespace,
                create_mode=CreateMode.CREATE_ONLY,
                shutdown_on_close=True,
                quiet=True,
            )
        except BaseException:
            self._abandon()
            raise

    @property
    def run(self) -> RunIdentity:
        return self._run

    @property
    def dashboard_link(self) -> str:
        return _dashboard(upstream.scheduler_host(self.name, self._context.namespace), ports.SCHEDULER_HTTP)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> Any:
        """Delete the cluster, in at most about `timeout` seconds. Never fails a run that has its result."""
        if self.status == Status.closed:
            return None
        closing = self.sync(self._close, timeout=timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
            if self.usage is not None and self._summary_due:
                artifacts.summary(
                    self._run,
                    self._settings,
                    self.started,
                    self.usage,
                    self._run_log,
                    losses=self._losses,
                    costs=self._costs,
                    deployment=self._context.deployment,
                )
        return closing

    def watch(self, client: Any) -> None:
        """Explain the workers that are lost from now on, through the run's client."""
        if self._deaths is not None:
            self._deaths.watch(client)

    def why_lost(self) -> str:
        """Return why the cluster was lost that has just lost its connection."""
        self._lost = True
        why: Diagnosis = self.sync(scheduler_loss.why, self._kube, self.name, self._scheduler_pod)
        return f"{self.name}: {why.sentence}"

    def why_killed(self, error: KilledWorker) -> str:
        """Return why the workers died on which Dask tried a task."""
        if self._deaths is None:
            return ""
        worker = error.last_worker
        memory = Memory(used=int(worker.metrics.get("memory", 0)), limit=int(worker.memory_limit or 0))
        last = Death(name=str(worker.name), address=worker.address, memory=memory, tasks=(str(error.task),))
        return str(self.sync(self._deaths.why, str(error.task), last))

    def discard(self, losses: Sequence[str], *, last: bool) -> None:
        """Delete the cluster, lost or not.

        Args:
            losses: why each cluster of the run so far was lost.
            last: whether no other one follows, so that the run's summary is due.

        """
        self._losses = losses
        self._summary_due = last
        self.close()

    def _abandon(self) -> None:
        """End a start that its caller no longer waits for, as after SIGTERM: it would go on by itself."""
        task = self._start_task
        if task is not None and not self._start_over.is_set():
            self.loop.add_callback(task.cancel)
            self._start_over.wait(CLOSE_TIMEOUT)
        self.status = Status.closed  # or dask-kubernetes tries to close it once more when the process ends
        with suppress(AttributeError):  # the constructor failed before there was a loop
            self._loop_runner.stop()

    async def _start(self) -> None:
        self._start_task = asyncio.current_task()
        try:
            await self._startup.bring_up(self._join)
            await self._startup.create_large_workers()
            self.started = self._startup.elapsed
            self._keepalive = KeepAlive(
                self.scheduler_comm,
                cluster=self.name,
                idle_timeout=self._settings.idle_timeout,
                report=self._settings.report == "html",
                log=self._run_log,
            )
            self._keepalive.start()
            self._scheduler_pod = await scheduler_loss.scheduler_pod(self._kube, self.name)
            self._deaths = WorkerDeaths(self._kube, self.name, self._run_log)
            self._autoscale()
            self._log_start()
        except BaseException:
            await asyncio.shield(self._startup.remove(CLOSE_TIMEOUT))
            raise
        finally:
            self._start_over.set()

    async def _join(self, comm: Any) -> None:
        self.scheduler_comm = comm
        self.name = self._startup.name
        if self._startup.certificates is not None:
            self.security = self._startup.certificates.security
        # Skips KubeCluster's own start, which relies on the operator's unreliable status, and calls the one that
        # it extends.
        await super(KubeCluster, self)._start()
        await pulled_code.share(comm, self._pulled_code)

    def _log_start(self) -> None:
        large = self._settings.profile.large
        self._run_log.info(
            "Dask cluster %s is up after %.1f s with %d to %d workers of %s CPU and %s%s%s",
            self.name,
            self.started,
            self._settings.minimum,
            self._settings.maximum,
            self._settings.worker_cpu,
            self._settings.worker_memory,
            f", up to {large.maximum} large ones of {large.cpu} CPU and {large.memory}" if large else "",
            f", profile {self._settings.profile_name}" if self._settings.profile_name else "",
        )

    def _autoscale(self) -> None:
        scaled = self._scaled_groups()
        if not scaled:
            return

        async def set_replicas(group: str, count: int) -> None:
            await self._kube.patch(kube.DASK_WORKER_GROUPS, group, {"spec": {"worker": {"replicas": count}}})

        large = self._settings.profile.large
        self._autoscaler = Autoscaler(
            self.scheduler_comm,
            scaled,
            set_replicas,
            self._startup.explain,
            large_threads=large.threads if large else None,
            cluster=self.name,
            log=self._run_log,
        )
        self._autoscaler.start()

    def _scaled_groups(self) -> dict[str, Group]:
        settings, scaled = self._settings, {}
        stabilization = PRESETS[settings.scaling].stabilization
        if settings.maximum > settings.minimum:
            decision = Decision(
                minimum=settings.minimum,
                maximum=settings.maximum,
                initial=settings.first_workers,
                stabilization=stabilization,
            )
            scaled[groups.ORDINARY] = Group("workers", upstream.default_worker_group(self.name), decision)
        if settings.profile.large is not None:
            decision = Decision(
                minimum=0, maximum=settings.profile.large.maximum, initial=0, stabilization=stabilization
            )
            scaled[groups.LARGE] = Group("large workers", upstream.large_worker_group(self.name), decision)
        return scaled

    async def _close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109 - the superclass's signature
        if self._autoscaler is not None:
            await self._autoscaler.stop()
        if self._keepalive is not None:
            usage = await self._keepalive.stop(ask=not self._lost)
            waited = self._autoscaler.waited if self._autoscaler is not None else None
            self.usage = usage.waiting(waited, self._settings.first_workers)
            self._bill.add(self.usage, self.started, self._settings)
            self._costs = await self._bill.costs(self._startup.flow_pod) if self._summary_due else None
        try:
            await asyncio.wait_for(super(KubeCluster, self)._close(), timeout / 3)
        except Exception as error:  # noqa: BLE001 - the scheduler may be gone in any way; the cluster must still go
            self._run_log.debug("The connection to Dask cluster %s did not end cleanly: %r", self.name, error)
        await self._startup.remove(timeout)
        self.status = Status.closed
