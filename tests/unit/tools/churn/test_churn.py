"""The loop of a churn, between fakes of Prefect and Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import states
from prefect.client.schemas.objects import FlowRun

from tools.churn import verbs
from tools.churn.memory import MIB
from tools.churn.plan import Kill, Victim
from tools.churn.verbs import SIDE_BY_SIDE, Churn
from tools.errors import Problem
from tools.verify.registered import Registered
from tools.verify.report import Row, Verdict

TAKES = 30.0


@dataclass
class World:
    """A stack whose runs take half a minute, on a clock that moves when someone waits."""

    time: float = 0.0
    runs: dict[UUID, tuple[float, FlowRun]] = field(default_factory=dict)
    struck: list[tuple[str, Victim]] = field(default_factory=list)
    deleted: list[UUID] = field(default_factory=list)
    cancelled: list[UUID] = field(default_factory=list)
    most: int = 0
    stuck: bool = False
    broken: bool = False
    leftovers: list[str] = field(default_factory=list)
    restarts: int = 0
    samples: dict[str, list[int]] = field(default_factory=dict)

    def register(self, _client: Any, *, pool: str, stack: str) -> Registered:
        assert (pool, stack) == ("dask", "dev")
        run = FlowRun(id=uuid4(), flow_id=uuid4(), name=f"run-{len(self.runs)}", state=states.Scheduled())
        run.state_name = "Scheduled"
        self.runs[run.id] = (self.time, run)
        return Registered(flow=run.flow_id, deployment=uuid4(), run=run)

    def read_flow_runs(self, *, flow_run_filter: Any) -> list[FlowRun]:
        asked = [self.runs[id_] for id_ in flow_run_filter.id.any_]
        self.most = max(self.most, len(asked))
        return [self._now(started, run) for started, run in asked]

    def _now(self, started: float, run: FlowRun) -> FlowRun:
        if self.time - started < TAKES or self.stuck:
            return run
        killed = any(id_ == str(run.id) for id_, _ in self.struck)
        state = states.Crashed() if killed or self.broken else states.Completed()
        return run.model_copy(update={"state": state, "state_name": state.name})

    def set_flow_run_state(self, run: UUID, _state: Any, *, force: bool) -> None:
        assert force
        self.cancelled.append(run)

    def kill(self, run: str, victim: Victim) -> bool:
        self.struck.append((run, victim))
        return True

    def sample(self) -> None:
        self.samples.setdefault("prefect-server-1-a", []).append((100 + len(self.samples)) * MIB)

    def platform(self) -> dict[str, int]:
        return {"prefect-server-1-a": self.restarts if self.time else 0}

    def left(self, runs: set[str]) -> list[str]:
        assert runs == {str(id_) for id_ in self.runs}
        return self.leftovers

    def wait(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(verbs.registered, "register", world.register)
    monkeypatch.setattr(verbs.registered, "delete", lambda _, created: world.deleted.append(created.run.id))
    monkeypatch.setattr(verbs.registered, "delete_earlier", lambda *_: None)
    return world


def churn(world: World, *kills: Kill | None, at_once: int = SIDE_BY_SIDE) -> dict[str, Row]:
    one = Churn(
        world,  # type: ignore[arg-type]
        world,  # type: ignore[arg-type]
        pool="dask",
        stack="dev",
        deadline=100,
        clock=lambda: world.time,
        pause=world.wait,
    )
    rows = {row.check: row for row in one.rows(kills, at_once)}
    one.clean_up()
    return rows


def test_runs_are_started_a_few_at_a_time_and_those_in_the_plan_are_killed_once(world: World) -> None:
    rows = churn(world, *[None] * 9, Kill(victim="worker", after=10))
    assert world.most == SIDE_BY_SIDE
    assert [victim for _, victim in world.struck] == ["worker"]
    assert all(row.verdict is Verdict.OK for row in rows.values()), rows
    assert rows["final states"].detail == "9 Completed, 1 Crashed, in 2 min 30 s"
    assert rows["killed"].detail.startswith("0 x flow pod, 0 x scheduler, 1 x worker")
    assert rows["memory of prefect-server"].detail.startswith("101 MiB at first")
    assert len(world.deleted) == 10
    assert not world.cancelled


def test_as_many_runs_as_requested_are_live_at_a_time(world: World) -> None:
    churn(world, *[None] * 9, at_once=5)
    assert world.most == 5


def test_a_run_that_ends_before_its_moment_is_not_killed(world: World) -> None:
    rows = churn(world, Kill(victim="scheduler", after=TAKES + 5), Kill(victim="flow pod", after=1))
    assert [victim for _, victim in world.struck] == ["flow pod"]
    assert "1 of 2 runs ended before their moment" in rows["killed"].detail


def test_a_run_without_a_final_state_fails_the_churn_and_is_cancelled(world: World) -> None:
    world.stuck = True
    rows = churn(world, None)
    assert rows["final states"].verdict is Verdict.FAILED
    assert "not final: run-0" in rows["final states"].detail
    assert world.cancelled == list(world.runs)


def test_a_run_that_fails_although_nothing_was_killed_fails_the_churn_and_stays(world: World) -> None:
    world.broken = True
    rows = churn(world, None)
    assert rows["final states"].verdict is Verdict.FAILED
    assert not world.deleted


def test_what_is_left_and_what_was_restarted_fails_the_churn(world: World) -> None:
    world.leftovers, world.restarts = ["services/etl-scheduler"], 1
    rows = churn(world, None)
    assert rows["objects"].verdict is rows["platform"].verdict is Verdict.FAILED
    assert "services/etl-scheduler" in rows["objects"].detail
    assert "prefect-server-1-a" in rows["platform"].detail


@pytest.mark.parametrize("value", ["many", "0", "-3", "1.5"])
@pytest.mark.parametrize("name", ["CHURN", "AT_ONCE"])
def test_a_number_of_runs_must_be_a_number(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"EPHEMERAL_DASK_{name}", value)
    with pytest.raises(Problem, match=f"{name}={value}"):
        verbs._number(name, 200)
