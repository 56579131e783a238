"""The number of workers that a run wants, from what its scheduler says over time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ephemeral_dask.scaling import OVERDUE, PRESETS, Decision, Demand


def taken(decision: Decision, demands: Iterable[tuple[int, int]], *, every: float = 1.0) -> list[int]:
    return [decision.take(Demand(*one), number * every) for number, one in enumerate(demands)]


def decision(*, initial: int, stabilization: float = 3, minimum: int = 1, maximum: int = 6) -> Decision:
    return Decision(minimum=minimum, maximum=maximum, initial=initial, stabilization=stabilization)


def test_the_target_rises_at_once_and_not_above_the_maximum() -> None:
    assert taken(decision(initial=1), [(1, 4), (1, 9)]) == [4, 6]


def test_the_target_falls_in_one_step_once_fewer_workers_were_enough_for_the_whole_stabilization() -> None:
    assert taken(decision(initial=6), [(6, 1)] * 5) == [6, 6, 6, 1, 1]


def test_what_was_needed_in_between_is_kept() -> None:
    assert taken(decision(initial=6), [(6, 1), (6, 4), (6, 1), (6, 1), (4, 1)]) == [6, 6, 6, 4, 1]


def test_a_backlog_that_runs_out_slowly_takes_no_longer_than_the_last_need() -> None:
    targets = taken(decision(initial=6), [(6, 6), (6, 5), (6, 4), (6, 3), (6, 2), (6, 1), (6, 1), (6, 1), (6, 1)])
    assert targets == [6, 6, 6, 5, 4, 3, 2, 1, 1]


def test_a_moment_of_work_restarts_the_stabilization() -> None:
    assert taken(decision(initial=6), [(6, 1), (6, 1), (6, 6), (6, 1), (6, 1), (6, 1), (6, 1)]) == [6] * 5 + [1, 1]


def test_workers_that_have_not_joined_are_never_taken_away_in_place_of_those_that_have() -> None:
    assert taken(decision(initial=6), [(2, 2)] * 9) == [6] * 9
    assert taken(decision(initial=6), [(2, 1)] * 4) == [6, 6, 6, 5]


def test_none_is_kept_where_the_minimum_is_none_and_the_first_task_brings_one_back() -> None:
    assert taken(decision(initial=1, minimum=0), [(1, 0)] * 4 + [(0, 1)]) == [1, 1, 1, 0, 1]


def test_workers_that_should_have_gone_and_did_not_are_asked_to_go_again() -> None:
    targets = taken(decision(initial=1), [(3, 1)] * 66)
    assert targets[: int(OVERDUE)] == [1] * int(OVERDUE)  # retiring takes its time
    assert targets[int(OVERDUE) :] == [3, 3, 3, 1, 1, 1]


def test_the_cheap_preset_lets_go_sooner_than_the_fast_one() -> None:
    assert PRESETS["cheap"].stabilization < PRESETS["fast"].stabilization


@given(
    st.integers(0, 4),
    st.integers(0, 8),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50)), max_size=30),
)
def test_whatever_the_scheduler_says_the_bounds_hold(minimum: int, more: int, demands: list[tuple[int, int]]) -> None:
    one = decision(initial=max(1, minimum), minimum=minimum, maximum=max(1, minimum + more))
    assert all(minimum <= target <= max(1, minimum + more) for target in taken(one, demands))


@pytest.mark.parametrize("workers", [2, 5])
def test_a_steady_demand_changes_nothing(workers: int) -> None:
    assert taken(decision(initial=workers), [(workers, workers)] * 9) == [workers] * 9
