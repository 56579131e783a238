"""What must become of a flow run, according to Kubernetes: pure functions over one comparison of both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ops.objects import FlowPod, Job
from ops.prefect import FlowRun

CONFIRMED_AFTER: Final = 1.0
"""Seconds between two comparisons that must agree before a run is judged."""

REPLACED_AFTER: Final = 30.0
"""Seconds within which a worker creates the next Job of a run that was rescheduled."""

POLLED_WITHIN: Final = 60.0
"""Seconds of an answering Prefect server within which a worker creates the Job of a Pending run, also after an outage.

With the default interval of 2 seconds, a worker that gets no answers pauses for 21 seconds at most between two polls
(`critical_service_loop` in prefect/utilities/services.py: the interval, doubled three times, and 30 % of jitter).
"""

INFRASTRUCTURE_PENDING: Final = "InfrastructurePending"
"""The name of a Pending state whose Job has a pod (prefect_kubernetes/observer.py 0.8)."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The settings of a work pool.

    Attributes:
        pending_timeout: seconds that a run may be Pending.
        crashed_after: seconds without a heartbeat after which a run without a Job is Crashed; None for never.

    """

    pending_timeout: float
    crashed_after: float | None


@dataclass(frozen=True, kw_only=True)
class World:
    """The Jobs and pods of flow runs at one moment.

    Attributes:
        now: the API server's time.
        pods: id of the run -> its pods, the newest last.
        jobs: id of the run -> its Jobs, the newest last.

    """

    now: datetime
    pods: Mapping[str, Sequence[FlowPod]]
    jobs: Mapping[str, Sequence[Job]]

    @classmethod
    def of(cls, now: datetime, pods: Iterable[FlowPod], jobs: Iterable[Job]) -> World:
        """Return the objects by run."""
        pods_of: defaultdict[str, list[FlowPod]] = defaultdict(list)
        jobs_of: defaultdict[str, list[Job]] = defaultdict(list)
        for pod in sorted(pods, key=lambda pod: pod.created):
            pods_of[pod.run].append(pod)
        for job in sorted(jobs, key=lambda job: job.created):
            jobs_of[job.run].append(job)
        return cls(now=now, pods=pods_of, jobs=jobs_of)

    def live_pods(self, run: str) -> list[FlowPod]:
        """Return the pods of a run in which its process may be alive."""
        return [pod for pod in self.pods.get(run, ()) if pod.is_alive(self.now)]

    def live_jobs(self, run: str) -> list[Job]:
        """Return the Jobs of a run that have a pod which has not ended, or whose pod Kubernetes has yet to create."""
        with_pods = {pod.job for pod in self.pods.get(run, ()) if pod.exists(self.now)}
        return [job for job in self.jobs.get(run, ()) if job.uid in with_pods or job in self._waiting_jobs(run)]

    def is_alive(self, run: str) -> bool:
        """Return whether a run has a live pod, or will have one."""
        return bool(self.live_pods(run) or self._waiting_jobs(run))

    def _waiting_jobs(self, run: str) -> list[Job]:
        with_pods = {pod.job for pod in self.pods.get(run, ())}
        jobs = self.jobs.get(run, ())
        return [job for job in jobs if not (job.has_ended or job.is_deleted or job.uid in with_pods)]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What must become of a run.

    Attributes:
        run: the run as it was compared.
        type: the state's type, `CRASHED` or `CANCELLED`.
        reason: the message, without the details that are read when it is carried out.
        wait: seconds for which comparisons must agree.
        jobs: that are deleted.
        pod: the pod whose log says more.
        unstarted: the Job, and the pods, that do not start.
        silent: whether the run has no Job, so that only its heartbeats tell whether it lives.

    """

    run: FlowRun
    type: str = "CRASHED"
    reason: str
    wait: float = CONFIRMED_AFTER
    jobs: tuple[Job, ...] = ()
    pod: FlowPod | None = None
    unstarted: tuple[Job | FlowPod, ...] = ()
    silent: bool = False

    @property
    def key(self) -> tuple[str, str, str, bool]:
        """What two comparisons must agree on."""
        return self.run.state_id, self.type, self.pod.uid if self.pod else "", self.silent


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges runs.

    Attributes:
        namespace: of the Jobs.
        bounds: work pool -> its settings.

    """

    namespace: str
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def verdict(self, run: FlowRun, world: World, prefect_now: datetime) -> Verdict | None:
        """Return what must become of a run, or None if it may stay as it is.

        Args:
            run: a run, read after the world.
            world: the Jobs and pods.
            prefect_now: the Prefect server's time.

        """
        bounds = self.bounds.get(run.pool)
        if bounds is None or (run.pid and not run.pid.startswith(f"{self.namespace}:")):
            return None
        if run.type == "CANCELLING":
            return _cancelling(run, world)
        if run.type == "PENDING":
            return _pending(run, world, prefect_now, bounds.pending_timeout)
        if run.type == "SCHEDULED" and not run.retries_in_process:
            return None
        return _lost(run, world, bounds)


def _cancelling(run: FlowRun, world: World) -> Verdict | None:
    # A process that runs ends by itself, and reports that.
    if any(pod.phase == "Running" for pod in world.live_pods(run.id)):
        return None
    jobs = tuple(world.live_jobs(run.id))
    reason = "Cancelled before its pod started." if jobs else "Cancelled: it has no pod."
    return Verdict(run=run, type="CANCELLED", reason=reason, jobs=jobs)


def _pending(run: FlowRun, world: World, prefect_now: datetime, timeout: float) -> Verdict | None:
    jobs, pods = world.live_jobs(run.id), world.live_pods(run.id)
    if any(pod.phase == "Running" for pod in pods):
        # Only the process can say why it does not report Running. The time counts from the first comparison, because
        # the server may have been unavailable for as long.
        reason = f"Its pod has run for {timeout:.0f} s without reporting that the run has started."
        return Verdict(run=run, reason=reason, wait=timeout, jobs=tuple(jobs), pod=pods[-1])
    if jobs and world.is_alive(run.id):
        age = (world.now - jobs[-1].created).total_seconds()
        reason = f"Its pod did not start within {timeout:.0f} s"
        unstarted: tuple[Job | FlowPod, ...] = (*pods, jobs[-1])
        return Verdict(run=run, reason=reason, jobs=tuple(jobs), unstarted=unstarted) if age > timeout else None
    if ended := world.pods.get(run.id, ()):
        return Verdict(
            run=run,
            reason=f"Its pod ended before the run started: {ended[-1].how_it_ended}",
            wait=REPLACED_AFTER,
            pod=ended[-1],
        )
    all_jobs = world.jobs.get(run.id, ())
    if all_jobs or run.state == INFRASTRUCTURE_PENDING:
        failure = f" ({all_jobs[-1].failure})" if all_jobs and all_jobs[-1].failure else ""
        return Verdict(run=run, reason=f"Its pod was deleted{failure} before the run started.", wait=REPLACED_AFTER)
    # It must have no Job for some time while the server answers: without answers its worker could not create one.
    wait = min(POLLED_WITHIN, timeout)
    if (prefect_now - run.since).total_seconds() > timeout - wait:
        reason = f"It has had no Job for {timeout:.0f} s: its worker did not create one."
        return Verdict(run=run, reason=reason, wait=wait)
    return None


def _lost(run: FlowRun, world: World, bounds: Bounds) -> Verdict | None:
    if world.is_alive(run.id):
        return None
    pods, jobs = world.pods.get(run.id, ()), world.jobs.get(run.id, ())
    during = " during a retry delay" if run.type == "SCHEDULED" else ""
    if pods:
        pod = pods[-1]
        return Verdict(run=run, reason=f"Its pod ended{during}: {_how_it_ended(pod, jobs)}", pod=pod)
    if jobs:
        failure = f": {jobs[-1].failure}" if jobs[-1].failure else ""
        return Verdict(run=run, reason=f"Its Job ended{during}{failure}.")
    if run.pid:
        return Verdict(run=run, reason=f"Its Job was deleted{during}.")
    if run.type == "RUNNING" and bounds.crashed_after is not None:
        seconds = bounds.crashed_after
        return Verdict(run=run, reason=f"No heartbeat for {seconds:.0f} s.", wait=seconds, silent=True)
    return None


def _how_it_ended(pod: FlowPod, jobs: Sequence[Job]) -> str:
    failure = next((job.failure for job in jobs if job.uid == pod.job), "")
    words = pod.how_it_ended
    return f"{words}; {failure}" if failure.startswith("DeadlineExceeded") else words
