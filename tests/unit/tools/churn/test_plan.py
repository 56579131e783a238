"""Which runs of a churn are killed."""

from __future__ import annotations

from tools.churn import plan


def test_a_seed_repeats_the_same_kills_and_another_one_does_not() -> None:
    assert plan.kills(50, 7) == plan.kills(50, 7)
    assert plan.kills(50, 7) != plan.kills(50, 8)


def test_three_in_ten_runs_are_killed_in_every_way_and_within_the_time_of_a_run() -> None:
    kills = [kill for kill in plan.kills(200, 1) if kill is not None]
    assert len(kills) == 60
    assert {kill.victim for kill in kills} == set(plan.VICTIMS)
    assert all(0 <= kill.after <= plan.LATEST for kill in kills)
