"""One run's Dask cluster on Kubernetes: starts in bounded time or says why not, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dask_kubernetes.operator import KubeCluster
from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode
from distributed.core import Status, rpc
from distributed.utils import format_dashboard_link

from ephemeral_dask import artifacts, diagnosis, groups, kube, upstream
from ephemeral_dask import environment_check as sameness
from ephemeral_dask.autoscaler import Autoscaler, Group
from ephemeral_dask.contract import labels, ports
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import ClusterStartError, Diagnosis, Observation
from ephemeral_dask.identity import RunIdentity, new_token
from ephemeral_dask.keepalive import Companion, Usage
from ephemeral_dask.kube import Kube, KubeError
from ephemeral_dask.scaling import PRESETS, Decision
from ephemeral_dask.spec import dask_cluster, large_worker_group
from ephemeral_dask.start_policy import Patience, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ephemeral_dask.pod_context import Place
    from ephemeral_dask.settings import DaskSettings

Log = logging.Logger | logging.LoggerAdapter[Any]

CLOSE_TIMEOUT: Final = 30.0
"""Seconds that an orderly close may take. What is left then goes with the run's Job or its idle timeout."""

_TICK: Final = 0.1
_LOOK_EVERY: Final = ((10.0, 0.25), (60.0, 1.0), (float("inf"), 3.0))
"""Until this many seconds after the start, look at the cluster's objects every so many seconds."""
_EVENTS_EVERY: Final = 3.0
_CONNECT_TIMEOUT: Final = 0.5
_HANDSHAKE_TIMEOUT: Final = 5.0
_LOG_LINES: Final = 20

# distributed calls itself typed, but these carry no annotation.
_open_rpc: Callable[[str], Any] = rpc
_dashboard: Callable[[str, int], str] = format_dashboard_link


class _LostByOperatorError(Exception):
    """The operator has not made the cluster, or not all of it: worth a second attempt."""


class RunCluster(KubeCluster):  # type: ignore[misc]  # dask-kubernetes ships no types
    """The Dask cluster of one attempt of one flow run, ready for the first task when the constructor returns.

    Args:
        run: whose cluster it is.
        place: where it goes.
        settings: how large it is.
        log: where the run's log lines go; used from another thread, so a bound one.

    Raises:
        ClusterStartError: it did not start within `settings.start_timeout`, or never could.

    """

    name: str  # a property of distributed's, without annotation
    started: float
    """Seconds that the start took."""
    usage: Usage | None
    """What the cluster did; known once it is closed."""

    def __init__(self, *, run: RunIdentity, place: Place, settings: DaskSettings, log: Log) -> None:
        self._run = run
        self._place = place
        self._settings = settings
        self._run_log = log
        self._kube = Kube(place.namespace)
        self._began = time.monotonic()
        self._created = False
        self._start_task: asyncio.Task[Any] | None = None
        self._companion: Companion | None = None
        self._autoscaler: Autoscaler | None = None
        self.started = 0.0
        self.usage: Usage | None = None
        self._start_over = threading.Event()
        self.forwarded_dashboard_port = str(ports.SCHEDULER_HTTP)  # read by the superclass; nothing is forwarded
        upstream.ensure_user_name()
        try:
            super().__init__(
                custom_cluster_spec=self._manifest(run.cluster_name(new_token())),
                namespace=place.namespace,
                create_mode=CreateMode.CREATE_ONLY,
                shutdown_on_close=True,
                quiet=True,
            )
        except BaseException:
            self._abandon()
            raise

    @property
    def dashboard_link(self) -> str:
        return _dashboard(upstream.scheduler_host(self.name, self._place.namespace), ports.SCHEDULER_HTTP)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> Any:
        """Delete the cluster, in at most about `timeout` seconds. Never fails a run that has its result."""
        if self.status == Status.closed:
            return None
        closing = self.sync(self._close, timeout=timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
            if self.usage is not None:
                artifacts.summary(self._run, self._settings, self.started, self.usage, self._run_log)
        return closing

    def _manifest(self, name: str) -> dict[str, Any]:
        return dask_cluster(name, run=self._run, place=self._place, settings=self._settings)

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
            self.scheduler_comm = await self._bring_up()
            # Past KubeCluster's own start, whose readiness is the operator's unreliable word, to the one it
            # extends.
            await super(KubeCluster, self)._start()
            await self._create_large()
            self.started = self._elapsed()
            self._companion = Companion(
                self.scheduler_comm,
                cluster=self.name,
                idle_timeout=self._settings.idle_timeout,
                report=self._settings.report == "html",
                log=self._run_log,
            )
            self._companion.start()
            self._autoscale()
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
        except BaseException:
            await asyncio.shield(self._remove(CLOSE_TIMEOUT))
            raise
        finally:
            self._start_over.set()

    async def _bring_up(self) -> Any:
        """Create the cluster and return a connection to its scheduler once a worker has joined."""
        deadline = self._began + self._settings.start_timeout
        try:
            return await self._attempt(Patience(deadline=deadline, may_retry=True))
        except _LostByOperatorError as lost:
            self._run_log.warning("Dask cluster %s is made anew under another name: %s", self.name, lost)
        await self._remove(CLOSE_TIMEOUT)
        name = self._run.cluster_name(new_token())
        self.name, self._custom_cluster_spec = name, self._manifest(name)
        return await self._attempt(Patience(deadline=deadline, may_retry=False))

    async def _attempt(self, patience: Patience) -> Any:
        await self._create(patience)
        comm: Any = None
        trouble = ""
        seen = Observation()
        next_look = next_events = 0.0
        try:
            while True:
                now = time.monotonic()
                if now >= next_look:
                    seen = await self._observe(seen, with_events=now >= next_events)
                    next_look = now + _interval(now - self._began)
                    next_events = now + _EVENTS_EVERY if now >= next_events else next_events
                if comm is None and seen.service is not None:
                    comm, trouble = await self._connect(seen.service)
                if comm is not None and seen.worker_group is not None and await comm.ncores():
                    await self._compare(comm)
                    return comm
                found = diagnosis.diagnose(seen) or diagnosis.still_missing(
                    seen, connected=comm is not None, trouble=trouble
                )
                await self._act(patience.judge(found, time.monotonic()), found)
                await asyncio.sleep(_TICK)
        except BaseException:
            if comm is not None:
                await comm.close_rpc()
            raise

    async def _create(self, patience: Patience) -> None:
        manifest = self._custom_cluster_spec
        sent = False
        while True:
            try:
                self._created = True  # an answer can be lost, and a caller gone before it comes
                stored = await self._kube.create(kube.DASK_CLUSTERS, manifest)
                break
            except KubeError as error:
                self._created = sent = sent or error.transient
                if error.status == 409 and sent:  # an earlier request did arrive; its answer was lost
                    stored = await self._kube.get(kube.DASK_CLUSTERS, self.name) or manifest
                    break
                found = diagnosis.refused(error.status, error.message)
                verdict = Verdict.WAIT if error.transient else Verdict.FAIL
                if verdict is Verdict.WAIT or not found.hopeless:
                    verdict = patience.judge(found, time.monotonic())
                await self._act(verdict, found)
                await asyncio.sleep(1.0)
        if dropped := diagnosis.pruned(manifest["spec"], stored.get("spec", {})):
            await self._act(Verdict.FAIL, diagnosis.definitions_too_old(dropped))

    async def _create_large(self) -> None:
        """Create the group of large workers, if the run has one; empty, so that nobody waits for it."""
        worker = self._settings.large_worker
        if worker is None:
            return
        deadline = self._began + self._settings.start_timeout
        while True:
            try:
                cluster = await self._kube.get(kube.DASK_CLUSTERS, self.name) or {}
                uid = cluster.get("metadata", {}).get("uid", "")
                manifest = large_worker_group(self.name, uid, worker, run=self._run, place=self._place)
                await self._kube.create(kube.DASK_WORKER_GROUPS, manifest)
            except KubeError as error:
                if error.status == 409:  # an earlier request did arrive; its answer was lost
                    return
                if not error.transient or time.monotonic() >= deadline:
                    raise ClusterStartError(diagnosis.refused(error.status, error.message), self._elapsed()) from error
                await asyncio.sleep(1.0)
            else:
                return

    async def _observe(self, before: Observation, *, with_events: bool) -> Observation:
        try:
            cluster, service, group, pods = await asyncio.gather(
                self._kube.get(kube.DASK_CLUSTERS, self.name),
                self._kube.get(kube.SERVICES, f"{self.name}-scheduler"),
                self._kube.get(kube.DASK_WORKER_GROUPS, upstream.default_worker_group(self.name)),
                self._pods(),
            )
            events = before.events
            if with_events:
                warnings = await self._kube.list(kube.EVENTS, fields="type=Warning")
                events = [one for one in warnings if str(one["involvedObject"].get("name")).startswith(self.name)]
        except KubeError as error:
            if error.transient:
                return before
            raise ClusterStartError(diagnosis.refused(error.status, error.message), self._elapsed()) from error
        return Observation(cluster=cluster, service=service, worker_group=group, pods=pods, events=events)

    async def _compare(self, comm: Any) -> None:
        """Fail at once where scheduler and workers run something else than this process."""
        try:
            own, pods = await asyncio.gather(self._own_pod(), self._pods())
            found = await sameness.compare(comm, own, pods)
        except (KubeError, OSError) as error:
            self._run_log.warning("The environment of Dask cluster %s could not be compared: %s", self.name, error)
            return
        if found is not None:
            raise ClusterStartError(found, self._elapsed())

    async def _own_pod(self) -> Mapping[str, Any] | None:
        if self._place.owner is None:
            return None
        mine = await self._kube.list(kube.PODS, labels=f"{labels.JOB_UID}={self._place.owner.uid}")
        return next((pod for pod in mine if pod.get("status", {}).get("phase") == "Running"), None)

    async def _pods(self) -> list[dict[str, Any]]:
        return await self._kube.list(kube.PODS, labels=f"dask.org/cluster-name={self.name}")

    async def _connect(self, service: Mapping[str, Any]) -> tuple[Any, str]:
        """Return a connection to the scheduler, or None and why there is none yet."""
        # By address first: a question for a name that DNS does not know yet is answered "no" for 5 s more.
        address = service["spec"].get("clusterIP")
        host = upstream.scheduler_host(self.name, self._place.namespace)
        comm = _open_rpc(f"tcp://{host}:{ports.SCHEDULER_COMM}")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                _, writer = await asyncio.open_connection(
                    host if address in (None, "", "None") else address, ports.SCHEDULER_COMM
                )
                writer.close()
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
                await comm.ncores()
        except Exception as error:  # noqa: BLE001 - see below
            # Until the node knows the new service, its address leads out of the cluster, and whoever answers there
            # speaks another protocol: anything may be raised.
            await comm.close_rpc()
            return None, f"{host}:{ports.SCHEDULER_COMM} ({error or type(error).__name__})"
        return comm, ""

    async def _act(self, verdict: Verdict, found: Diagnosis) -> None:
        if verdict is Verdict.NAME:
            left = self._settings.start_timeout - self._elapsed()
            self._run_log.warning(
                "Dask cluster %s is not up yet: %s (%.0f s left)", self.name, found.sentence, max(left, 0)
            )
        elif verdict is Verdict.AGAIN:
            raise _LostByOperatorError(found.sentence)
        elif verdict is Verdict.FAIL:
            raise ClusterStartError(found, self._elapsed(), await self._last_words(found))

    async def _last_words(self, found: Diagnosis) -> str:
        if found.cause is not Cause.CRASH_LOOP or found.pod is None:
            return ""
        pod, container = found.pod
        try:
            return await self._kube.log(pod, container, lines=_LOG_LINES, previous=True)
        except KubeError as error:
            return f"(not to be had: {error.message})"

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _autoscale(self) -> None:
        settings, scaled = self._settings, {}
        large = settings.profile.large
        stabilization = PRESETS[settings.scaling].stabilization
        if settings.maximum > settings.minimum:
            decision = Decision(
                minimum=settings.minimum,
                maximum=settings.maximum,
                wanted=settings.first_workers,
                stabilization=stabilization,
            )
            scaled[groups.ORDINARY] = Group("workers", upstream.default_worker_group(self.name), decision)
        if large is not None:
            decision = Decision(minimum=0, maximum=large.maximum, wanted=0, stabilization=stabilization)
            scaled[groups.LARGE] = Group("large workers", upstream.large_worker_group(self.name), decision)
        if not scaled:
            return

        async def set_replicas(group: str, count: int) -> None:
            await self._kube.patch(kube.DASK_WORKER_GROUPS, group, {"spec": {"worker": {"replicas": count}}})

        async def explain() -> str:
            found = diagnosis.diagnose(await self._observe(Observation(), with_events=True))
            return found.sentence if found else ""

        self._autoscaler = Autoscaler(
            self.scheduler_comm,
            scaled,
            set_replicas,
            explain,
            large_threads=large.threads if large else None,
            cluster=self.name,
            log=self._run_log,
        )
        self._autoscaler.start()

    async def _close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109 - the superclass's signature
        if self._autoscaler is not None:
            await self._autoscaler.stop()
        if self._companion is not None:
            self.usage = await self._companion.stop()
        try:
            await asyncio.wait_for(super(KubeCluster, self)._close(), timeout / 3)
        except Exception as error:  # noqa: BLE001 - the scheduler may be gone in any way; the cluster must still go
            self._run_log.debug("The connection to Dask cluster %s did not end cleanly: %r", self.name, error)
        await self._remove(timeout)
        self.status = Status.closed

    async def _remove(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound on the whole, not a cancellation
        """Delete the cluster and wait until it is gone; only warn when it is not gone in time."""
        if not self._created:
            return
        why = await self._kube.remove(kube.DASK_CLUSTERS, self.name, within=timeout)
        self._created = bool(why)
        if why:
            self._run_log.warning(
                "Dask cluster %s could not be removed within %.0f s (%s). Kubernetes removes it with the run's Job, "
                "the reaper, or the operator after %d idle seconds.",
                self.name,
                timeout,
                why,
                self._settings.idle_timeout,
            )


def _interval(elapsed: float) -> float:
    return next(interval for until, interval in _LOOK_EVERY if elapsed < until)
