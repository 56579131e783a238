"""Bringing up one run's Dask cluster in Kubernetes, in bounded time and with the cause where it fails."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask import connection, diagnosis, environment_check, kube
from ephemeral_dask.contract import labels
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import ClusterStartError, Diagnosis, Observation
from ephemeral_dask.identity import RunIdentity, new_token
from ephemeral_dask.kube import Kube, KubeError
from ephemeral_dask.observer import Observer, everything
from ephemeral_dask.spec import dask_cluster, large_worker_group
from ephemeral_dask.start_policy import Action, StartPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ephemeral_dask.certificates import Certificates
    from ephemeral_dask.kube import Kind
    from ephemeral_dask.pod_context import PodContext
    from ephemeral_dask.settings import DaskSettings

    Join = Callable[[Any], Awaitable[None]]
    """Takes a connection to a scheduler that has a worker."""

Log = logging.Logger | logging.LoggerAdapter[Any]

_REMOVE_TIMEOUT: Final = 30.0
"""Seconds for the deletion of a cluster that is created again."""
_TICK: Final = 0.1
_LOG_LINES: Final = 20


class _LostByOperatorError(Exception):
    """The operator has not created the cluster, or only in part: worth a second attempt."""


class StartAbandonedError(RuntimeError):
    """The run ended while its cluster was starting."""


class Startup:
    """Creates a run's DaskCluster and waits until its first worker has joined.

    Args:
        api: the Kubernetes API.
        run: whose cluster it is.
        context: where it goes.
        settings: how large it is.
        log: of the run.
        abandoned: is set when no one waits for the cluster any more.

    """

    name: str
    """The DaskCluster; another one after a second attempt."""
    created: bool
    """Whether something may have to be deleted."""
    certificates: Certificates | None
    """Those of the DaskCluster; None if its connections are plain TCP."""

    def __init__(
        self,
        api: Kube,
        *,
        run: RunIdentity,
        context: PodContext,
        settings: DaskSettings,
        log: Log,
        abandoned: threading.Event,
    ) -> None:
        self._abandoned = abandoned
        self._kube = api
        self._run = run
        self._context = context
        self._settings = settings
        self._log = log
        self._began = time.monotonic()
        self.created = False
        self.certificates = None
        self.name = run.cluster_name(new_token())

    @property
    def manifest(self) -> dict[str, Any]:
        return dask_cluster(self.name, run=self._run, context=self._context, settings=self._settings)

    @property
    def elapsed(self) -> float:
        """Seconds since the start began."""
        return time.monotonic() - self._began

    async def bring_up(self, join: Join) -> None:
        """Create the cluster and, once its first worker has joined, let the run join.

        Args:
            join: takes a connection to the scheduler. It is called again, with another one, if the scheduler ends
                meanwhile.

        Raises:
            ClusterStartError: the cluster did not start in time, or never could.

        """
        deadline = self._began + self._settings.start_timeout
        try:
            await self._attempt(StartPolicy(began=self._began, deadline=deadline, may_retry=True), join)
        except _LostByOperatorError as lost:
            self._log.warning("Dask cluster %s is being recreated under a new name: %s", self.name, lost)
        else:
            return
        await self.remove(_REMOVE_TIMEOUT)
        self.name = self._run.cluster_name(new_token())
        await self._attempt(StartPolicy(began=time.monotonic(), deadline=deadline, may_retry=False), join)

    async def create_large_workers(self) -> None:
        """Create the group of large workers, if the run has one. It is empty, so the start does not wait for it.

        Raises:
            ClusterStartError: Kubernetes refuses it.

        """
        worker = self._settings.large_worker
        if worker is None:
            return
        deadline = self._began + self._settings.start_timeout
        while True:
            try:
                cluster = await self._kube.get(kube.DASK_CLUSTERS, self.name) or {}
                uid = cluster.get("metadata", {}).get("uid", "")
                manifest = large_worker_group(self.name, uid, worker, run=self._run, context=self._context)
                await self._kube.create(kube.DASK_WORKER_GROUPS, manifest)
            except KubeError as error:
                if error.status == 409:  # an earlier request did arrive; its answer was lost
                    return
                if not error.transient or time.monotonic() >= deadline:
                    raise self._refusal(error) from error
                await asyncio.sleep(1.0)
            else:
                return

    async def explain(self) -> str:
        """Return why workers may be missing, or an empty text."""
        try:
            observation = await everything(self._kube, self.name)
        except KubeError as error:
            if error.transient:
                return ""
            raise self._refusal(error) from error
        cause = diagnosis.diagnose(observation)
        return cause.sentence if cause else ""

    async def remove(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound on the whole, not a cancellation
        """Delete the cluster and wait until it is gone; only warn when it is not gone in time."""
        if not self.created:
            return
        why = await self._kube.remove(kube.DASK_CLUSTERS, self.name, within=timeout)
        self.created = bool(why)
        if why:
            self._log.warning(
                "Dask cluster %s could not be removed within %.0f s (%s). Kubernetes removes it with the run's Job, "
                "the reaper, or the operator after %d idle seconds.",
                self.name,
                timeout,
                why,
                self._settings.idle_timeout,
            )

    async def _attempt(self, policy: StartPolicy, join: Join) -> None:
        await self._create(policy)
        comm: Any = None
        trouble = ""
        try:
            async with Observer(self._kube, self.name, deadline=policy.deadline) as observer:
                while True:
                    self._raise_if_abandoned()
                    observation = await self._observe(observer)
                    if comm is None and observation.service is not None:
                        comm, trouble = await connection.connect(
                            self.name, self._context.namespace, observation.service, self.certificates
                        )
                    try:
                        if comm is not None and observation.worker_group is not None and await comm.ncores():
                            await self._check_environment(comm)
                            await join(comm)
                            return
                    except connection.LOST as error:
                        # The scheduler has ended since it answered. Kubernetes starts it again.
                        await comm.close_rpc()
                        comm, trouble = None, str(error)
                    cause = diagnosis.diagnose(observation) or diagnosis.still_missing(
                        observation, connected=comm is not None, trouble=trouble
                    )
                    await self._act(policy.decide(cause, time.monotonic()), cause)
                    await asyncio.sleep(_TICK)
        except BaseException:
            if comm is not None:
                await comm.close_rpc()
            raise

    def _raise_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise StartAbandonedError("the run ended while its Dask cluster was starting")

    async def _create(self, policy: StartPolicy) -> None:
        manifest, self.certificates = self.manifest, None
        stored = await self._post(kube.DASK_CLUSTERS, manifest, policy)
        if dropped := diagnosis.pruned(manifest["spec"], stored.get("spec", {})):
            await self._act(Action.FAIL, diagnosis.crds_too_old(dropped))
        if self._context.tls and (uid := stored["metadata"].get("uid")):
            # 0.1 s of imports that are needed for this only. The pods wait for the Secret.
            from ephemeral_dask.certificates import Certificates  # noqa: PLC0415

            self.certificates = Certificates.new()
            await self._post(kube.SECRETS, self.certificates.secret(manifest, uid), policy)

    async def _post(self, kind: Kind, manifest: dict[str, Any], policy: StartPolicy) -> dict[str, Any]:
        """Create an object, and return it as the API stored it."""
        sent = False
        while True:
            try:
                self.created = True  # the answer can be lost, and the caller can be gone before it comes
                return await self._kube.create(kind, manifest)
            except KubeError as error:
                sent = sent or error.transient
                self.created = sent or kind != kube.DASK_CLUSTERS
                if error.status == 409 and sent:  # an earlier request did arrive; its answer was lost
                    return (kind == kube.DASK_CLUSTERS and await self._kube.get(kind, self.name)) or manifest
                cause = diagnosis.refused(error.status, error.message)
                action = Action.WAIT if error.transient else Action.FAIL
                if action is Action.WAIT or not cause.permanent:
                    action = policy.decide(cause, time.monotonic())
                await self._act(action, cause)
                await asyncio.sleep(1.0)

    async def _observe(self, observer: Observer) -> Observation:
        try:
            return await observer.observe()
        except KubeError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: KubeError) -> ClusterStartError:
        return ClusterStartError(diagnosis.refused(error.status, error.message), self.elapsed)

    async def _check_environment(self, comm: Any) -> None:
        """Fail at once where scheduler and workers run something else than this process."""
        try:
            own, pods = await asyncio.gather(self.flow_pod(), self._pods())
            difference = await environment_check.compare(comm, own, pods)
        except (KubeError, OSError) as error:
            self._log.warning("The environment of Dask cluster %s could not be compared: %s", self.name, error)
            return
        if difference is not None:
            raise ClusterStartError(difference, self.elapsed)

    async def flow_pod(self) -> Mapping[str, Any] | None:
        """Return the pod of this process; None where it was not started by a Job."""
        if self._context.owner is None:
            return None
        pods = await self._kube.list(kube.PODS, labels=f"{labels.JOB_UID}={self._context.owner.uid}")
        return next((pod for pod in pods if pod.get("status", {}).get("phase") == "Running"), None)

    async def _pods(self) -> list[dict[str, Any]]:
        return await self._kube.list(kube.PODS, labels=kube.of_cluster(self.name))

    async def _act(self, action: Action, cause: Diagnosis) -> None:
        if action is Action.NAME:
            left = self._settings.start_timeout - self.elapsed
            self._log.warning(
                "Dask cluster %s is not up yet: %s (%.0f s left)", self.name, cause.sentence, max(left, 0)
            )
        elif action is Action.RETRY:
            raise _LostByOperatorError(cause.sentence)
        elif action is Action.FAIL:
            raise ClusterStartError(cause, self.elapsed, await self._container_log(cause))

    async def _container_log(self, cause: Diagnosis) -> str:
        if cause.cause is not Cause.CRASH_LOOP or cause.pod is None:
            return ""
        pod, container = cause.pod
        try:
            return await self._kube.log(pod, container, lines=_LOG_LINES, previous=True)
        except KubeError as error:
            return f"(the log is not available: {error.message})"
