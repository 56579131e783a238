"""Reconciles flow runs with their Jobs and pods: the one judge of whether a run that has a Job is alive.

Kubernetes is read before Prefect, so that a pod which has ended cannot report anything that the comparison misses. A
run is judged when two comparisons agree, and a comparison that fails erases those before it: after an outage of either
side nothing is judged by what was seen before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import httpx

from ops import causes
from ops.clusters import attempt
from ops.fields import MALFORMED, report, text
from ops.judgement import Judge, Verdict, World
from ops.kubernetes import Kubernetes
from ops.metrics import Metrics
from ops.objects import Job
from ops.prefect import FINAL, FlowRun, Prefect, is_id

ENDS_WITHIN: Final = 60.0
"""Seconds that a pod may live on after its run has a final state: it closes its Dask cluster and stores results."""

FORGOTTEN_AFTER: Final = 900.0
"""Seconds after the end of its Job for which the final state of a run is restored when its pod reschedules the run."""

_HEARTBEATS_SINCE: Final = timedelta(days=1)

_log = logging.getLogger("ops.reaper")


@dataclass(kw_only=True)
class _Final:
    """The final state of a run whose pod was still alive."""

    run: FlowRun
    first: float
    last: float


class Runs:
    """The flow runs of a stack's work pools, compared again and again."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        prefect: Prefect,
        judge: Judge,
        *,
        metrics: Metrics | None = None,
        pod_logs: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._prefect = prefect
        self._judge = judge
        self._metrics = metrics or Metrics(judge.bounds)
        self._pod_logs = pod_logs
        self._clock = clock
        self._verdicts: dict[str, tuple[float, Verdict, str]] = {}
        self._finals: dict[str, _Final] = {}
        self._answers = True

    def forget(self) -> None:
        """Forget the comparisons so far, because one of the two sides did not answer."""
        self._verdicts.clear()
        for final in self._finals.values():
            final.first = self._clock()

    def reconcile(self, world: World) -> bool:
        """Compare the runs with a world that was read just now, and carry out what follows; return whether that worked.

        Errors of one run are logged, so that the other runs are still handled.
        """
        try:
            live = {run.id: run for run in self._prefect.live_runs(self._judge.bounds)}
            finals = self._final_runs(world, live)
            for run in live.values():
                self._one(run.id, partial(self._compare, run, world))
            for run in finals:
                self._one(run.id, partial(self._end, run, world))
        except (httpx.HTTPError, *MALFORMED) as error:
            # At the first request without an answer: each further one would take its whole timeout.
            if self._answers:
                _log.warning("The Prefect API does not answer, so no run is judged: %r", error)
            self._answers = False
            self.forget()
            return False
        if not self._answers:
            _log.warning("The Prefect API answers again: runs are compared again")
        self._answers = True
        self._metrics.live(live.values(), self._prefect.now)
        self._metrics.checked("prefect", time.time())
        self._verdicts = {run: verdict for run, verdict in self._verdicts.items() if run in live}
        for id_ in [id_ for id_, final in self._finals.items() if self._clock() - final.last > FORGOTTEN_AFTER]:
            del self._finals[id_]
        return True

    def _one(self, run: str, action: Callable[[], None]) -> None:
        try:
            action()
        except httpx.HTTPStatusError as error:
            _log.warning("Flow run %s: %r", run, error)
        except MALFORMED as error:
            report("Flow run", run, error)

    def _final_runs(self, world: World, live: Iterable[str]) -> list[FlowRun]:
        """Return the runs in a final state whose pod is still alive."""
        others = [run for run in world.jobs if is_id(run) and run not in live and world.live_jobs(run)]
        ended = [run for run in self._prefect.runs(others) if run.type in FINAL]
        return [run for run in ended if run.pool in self._judge.bounds]

    def _compare(self, run: FlowRun, world: World) -> None:
        if run.id in self._finals and self._was_rescheduled_by_its_pod(run, world):
            return
        verdict = self._judge.verdict(run, world, self._prefect.now)
        if verdict is None:
            self._verdicts.pop(run.id, None)
            return
        first, earlier, log = self._verdicts.get(run.id, (None, None, ""))
        if first is None or earlier is None or earlier.key != verdict.key:
            # The log is read now: the pod can be gone at the next comparison.
            log = self._kubernetes.last_log_lines(verdict.pod.name) if verdict.pod else ""
            self._verdicts[run.id] = (self._clock(), verdict, log)
        elif self._clock() - first >= verdict.wait and self._is_confirmed(verdict):
            self._carry_out(verdict, log)
            del self._verdicts[run.id]

    def _is_confirmed(self, verdict: Verdict) -> bool:
        """Return whether a run without a Job is really silent; others need no further question."""
        if not verdict.silent:
            return True
        now = self._prefect.now
        last = self._prefect.last_heartbeat(verdict.run.id, now - _HEARTBEATS_SINCE)
        # A run that has never sent a heartbeat has them switched off.
        return last is not None and (now - last).total_seconds() >= verdict.wait

    def _carry_out(self, verdict: Verdict, log: str) -> None:
        run = verdict.run
        # Read again: it may have changed its state since the comparison.
        if any(current.state_id != run.state_id for current in self._prefect.runs([run.id])):
            return
        reason = verdict.reason + self._detail(verdict)
        message = reason + self._link(verdict) + (f"\nThe last lines of its log:\n{log}" if log else "")
        # The Job first: its slot is free as soon as the state is final, and its pod must not start then.
        for job in verdict.jobs:
            if not self._delete(job):
                return
        accepted = self._prefect.set_state(run.id, type=verdict.type, message=message)
        if accepted and verdict.type == "CRASHED":
            self._metrics.crashed(run.pool, reason)
        if accepted and run.type == "SCHEDULED":
            # Prefect lets a run keep its place during a retry delay, and gives it back only when one that is Pending,
            # Running or Cancelling ends: https://github.com/PrefectHQ/prefect/pull/21933
            self._prefect.release_place(run.id)
        _log.warning(
            "Flow run %s (%s) was %s and is %s: %s",
            run.name,
            run.id,
            run.state,
            verdict.type.capitalize() if accepted else "left as it is, as Prefect has refused",
            message,
        )

    def _link(self, verdict: Verdict) -> str:
        """Return where the whole log of a pod is, if the cluster keeps logs."""
        if verdict.pod is None or not self._pod_logs:
            return ""
        # Not format(): an address may have other braces.
        link = self._pod_logs.replace("{namespace}", self._kubernetes.namespace).replace("{pod}", verdict.pod.name)
        return f"\nIts log: {link}"

    def _detail(self, verdict: Verdict) -> str:
        """Return why a pod did not start."""
        if not verdict.unstarted:
            return ""
        for each in verdict.unstarted:
            words = "" if isinstance(each, Job) else each.waits
            if not words:
                words = causes.from_events(self._kubernetes.warnings(each.uid))
            if words:
                return f": {words}"
        return ": Kubernetes names no cause."

    def _delete(self, job: Job) -> bool:
        return attempt(partial(self._kubernetes.delete_job, job.name, job.uid))

    def _end(self, run: FlowRun, world: World) -> None:
        """Remember a final state whose pod is alive, and delete the Job if that does not end."""
        now = self._clock()
        final = self._finals.get(run.id)
        if final is None or final.run.state_id != run.state_id:
            final = self._finals[run.id] = _Final(run=run, first=now, last=now)
        final.last = now
        if now - final.first < ENDS_WITHIN:
            return
        for job in world.live_jobs(run.id):
            if not job.is_deleted and self._delete(job):
                _log.warning("Job %s is deleted: its flow run %s is %s", job.name, run.id, run.state)

    def _was_rescheduled_by_its_pod(self, run: FlowRun, world: World) -> bool:
        """Return whether a pod has rescheduled a run that had ended, after restoring the final state.

        A flow pod that gets SIGTERM proposes AwaitingRetry, even for a run that is Crashed by then. A person's retry
        has a message.
        """
        final = self._finals[run.id]
        states = self._prefect.states(run.id)
        ids = [text(state, "id") for state in states]
        if final.run.state_id not in ids[:-1]:
            return False
        following = states[ids.index(final.run.state_id) + 1]
        if text(following, "name") != "AwaitingRetry" or text(following, "message"):
            del self._finals[run.id]
            return False
        for job in world.live_jobs(run.id):
            self._delete(job)
        self._prefect.set_state(run.id, type=final.run.type, message=final.run.message, force=True)
        _log.warning("Flow run %s was rescheduled by its pod and is %s again", run.id, final.run.state)
        del self._finals[run.id]
        return True
