"""`make churn`: runs many flows, kills pods of some at random moments, and checks what that leaves."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from infra.settings import Settings, layers
from tools.churn import memory, plan
from tools.churn.plan import Kill
from tools.churn.pods import Pods, memory_of
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.make import text
from tools.progress import duration, say, status
from tools.runs import artifacts
from tools.runs.session import connect
from tools.verbs.common import require_up, select
from tools.verify import registered
from tools.verify.registered import Registered
from tools.verify.report import Row, failed, ok, passed, show, unknown

SIDE_BY_SIDE: Final = 2
"""Runs at a time: of more, the flow pods and schedulers leave no room for a worker on a node with two cores."""

GONE_WITHIN: Final = 120.0
"""Seconds after the last run's end until which objects may exist: the TTL of a Job and the reaper's bounds."""

_SAMPLE_EVERY: Final = 15.0
_MARGIN: Final = 300
"""Seconds that a run may take in addition to its starts, one of which follows a killed scheduler."""


@dataclass
class Run:
    """A run that was started.

    Attributes:
        created: as it was registered.
        kill: what is killed of it.
        started: when it was created, by a monotonic clock.
        state: its newest state.
        was_killed: whether the pod was there.

    """

    created: Registered
    kill: Kill | None
    started: float
    state: FlowRun
    was_killed: bool = False

    @property
    def id(self) -> str:
        """Its id as a label has it."""
        return str(self.created.run.id)

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state.state is not None and self.state.state.is_final()


def churn(arguments: argparse.Namespace) -> int:
    """Run many flows on a stack that is up and print a table; the exit status is 1 if they leave anything."""
    count, seed = _number("CHURN", 200), _number("SEED", random.SystemRandom().randrange(10**6))
    at_once = _number("AT_ONCE", SIDE_BY_SIDE)
    selection = select(arguments)
    require_up(selection)
    settings, name = selection.settings, selection.stack.name
    pods = Pods(Kubernetes(selection.environment), settings.namespaces)
    say(f"==> stack {name}: {count} runs, seed {seed} (make churn CHURN={count} SEED={seed} repeats it)")
    pool = min(settings.work_pools)
    with connect(selection.stack, selection.target, settings), get_client(sync_client=True) as client:
        one = Churn(client, pods, pool=pool, stack=name, deadline=_deadline(settings, pool))
        try:
            rows = list(one.rows(plan.kills(count, seed), at_once))
        finally:
            one.clean_up()
    show(rows, artifacts.console())
    return int(not passed(rows))


class Churn:
    """The runs.

    Args:
        client: of the stack's Prefect API.
        pods: of the stack.
        pool: the work pool in which they run.
        stack: its name.
        deadline: seconds until a run must have ended.
        clock: a monotonic one.
        pause: waits for some seconds.

    """

    def __init__(
        self,
        client: SyncPrefectClient,
        pods: Pods,
        *,
        pool: str,
        stack: str,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._pods, self._pool, self._stack = client, pods, pool, stack
        self._deadline, self._clock, self._pause = deadline, clock, pause
        self._sampled = float("-inf")
        self.runs: list[Run] = []

    def rows(self, kills: Sequence[Kill | None], at_once: int = SIDE_BY_SIDE) -> Iterator[Row]:
        """Run as many flows as there are entries, each with what is killed of it, and yield what was seen.

        Args:
            kills: what is killed of each run.
            at_once: how many may be live at a time.

        """
        registered.delete_earlier(self._client, self._stack)
        before, began = self._pods.platform(), self._clock()
        with status(lambda: self._describe(len(kills))):
            for kill in kills:
                self._wait(lambda: len(self._live()) < at_once)
                created = registered.register(self._client, pool=self._pool, stack=self._stack)
                self.runs.append(Run(created, kill, self._clock(), created.run))
            self._wait(lambda: not self._live())
            ended = self._clock()
            self._wait(lambda: not self._left() or self._clock() - ended > GONE_WITHIN)
        yield self._states(duration(ended - began))
        yield self._kills()
        yield self._objects(ended)
        yield from self._platform(before)

    def clean_up(self) -> None:
        """Delete runs that completed or were killed; cancel those that are live. The next churn deletes the rest."""
        for run in self.runs:
            if not run.is_final:
                self._client.set_flow_run_state(run.created.run.id, Cancelling(), force=True)
            elif run.was_killed or str(run.state.state_name) == "Completed":
                registered.delete(self._client, run.created)

    def _live(self) -> list[Run]:
        return [run for run in self.runs if not run.is_final and self._clock() - run.started <= self._deadline]

    def _left(self) -> list[str]:
        return self._pods.left({run.id for run in self.runs})

    def _describe(self, count: int) -> str:
        return f"{len(self.runs)} of {count} runs started, {len(self._live())} live"

    def _wait(self, is_over: Callable[[], bool]) -> None:
        """Look at the runs, kill what is due and sample memory until a condition holds."""
        while True:
            self._look()
            if is_over():
                return
            self._pause(1)

    def _look(self) -> None:
        live = self._live()
        if live:
            ids = FlowRunFilter(id=FlowRunFilterId(any_=[run.created.run.id for run in live]))
            states = {run.id: run for run in self._client.read_flow_runs(flow_run_filter=ids)}
            for run in live:
                run.state = states.get(run.created.run.id, run.state)
        for run in live:
            due = run.kill is not None and not run.was_killed and self._clock() - run.started >= run.kill.after
            if due and run.kill is not None and not run.is_final:
                run.was_killed = self._pods.kill(run.id, run.kill.victim)
        if self._clock() - self._sampled >= _SAMPLE_EVERY:
            self._sampled = self._clock()
            self._pods.sample()

    def _states(self, took: str) -> Row:
        counts = Counter(str(run.state.state_name) for run in self.runs)
        words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        unharmed = [run for run in self.runs if not run.was_killed and str(run.state.state_name) != "Completed"]
        if late := [run.created.run.name for run in self.runs if not run.is_final]:
            return failed("final states", f"{words}; not final: {_some(late)}", f"make logs RUN={late[0]}")
        if unharmed:
            name = unharmed[0].created.run.name
            cause = unharmed[0].state.state.message if unharmed[0].state.state else ""
            return failed("final states", f"{words}; nothing was killed of {name}: {cause}", "Correct what it names")
        return ok("final states", f"{words}, in {took}")

    def _kills(self) -> Row:
        counts = Counter(run.kill.victim for run in self.runs if run.kill is not None and run.was_killed)
        words = ", ".join(f"{counts[victim]} x {victim}" for victim in plan.VICTIMS)
        planned = sum(run.kill is not None for run in self.runs)
        words = f"{words}; {planned - sum(counts.values())} of {planned} runs ended before their moment"
        return ok("killed", words) if counts or not planned else unknown("killed", words)

    def _objects(self, ended: float) -> Row:
        if left := self._left():
            words = f"{len(left)} are left {self._clock() - ended:.0f} s after the last run: {_some(left)}"
            return failed("objects", words, "See the log of deployment/dask-reaper")
        return ok("objects", "0 are left")

    def _platform(self, before: dict[str, int]) -> Iterator[Row]:
        after = self._pods.platform()
        if changed := sorted(name for name in before if after.get(name) != before[name]):
            yield failed("platform", f"restarted or replaced: {_some(changed)}", "kubectl describe names the cause")
        else:
            yield ok("platform", "no container was restarted")
        for name, samples in memory_of(self._pods.samples, after):
            title, words = f"memory of {name.rsplit('-', 2)[0]}", memory.described(samples)
            if memory.has_grown(samples):
                yield failed(title, f"{words}: it goes on growing", "Repeat it with more runs, and report it")
            else:
                yield ok(title, words)
        if not self._pods.samples:
            yield unknown("memory", "the kubelet's statistics have no pod of the platform")


def _deadline(settings: Settings, pool: str) -> float:
    return layers.flow_run(settings, pool).pending_timeout + 2 * settings.dask.start_timeout + _MARGIN


def _number(name: str, default: int) -> int:
    value = text(name)
    if not value:
        return default
    if not value.isdecimal() or (name != "SEED" and int(value) == 0):
        raise Problem(f"{name}={value} is not a number", remedy=f"Write it like {name}=20")
    return int(value)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
