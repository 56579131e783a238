from __future__ import annotations

from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis
from ephemeral_dask.start_policy import CONFIRMED_AFTER, LOST_AFTER, NAMED_AFTER, NAMED_EVERY, Action, StartPolicy

PULL = Diagnosis(cause=Cause.IMAGE_PULL, detail="")
SECURITY = Diagnosis(cause=Cause.POD_SECURITY, detail="", permanent=True)
OPERATOR = Diagnosis(cause=Cause.OPERATOR, detail="")


def policy(*, may_retry: bool = True) -> StartPolicy:
    return StartPolicy(began=0, deadline=600, may_retry=may_retry)


def test_at_the_deadline_the_start_fails_whatever_the_cause() -> None:
    assert policy().decide(PULL, 599) is Action.WAIT
    assert policy().decide(PULL, 600) is Action.FAIL


def test_a_permanent_cause_fails_the_start_only_once_it_has_lasted() -> None:
    one = policy()
    assert one.decide(SECURITY, 1) is Action.WAIT
    assert one.decide(PULL, 2) is Action.WAIT
    assert one.decide(SECURITY, 1 + CONFIRMED_AFTER) is Action.WAIT
    assert one.decide(SECURITY, 1 + 2 * CONFIRMED_AFTER) is Action.FAIL


def test_a_lasting_cause_is_named_within_a_minute_and_then_once_a_minute() -> None:
    one = policy()
    actions = {second: one.decide(PULL, second) for second in range(200)}
    named = [second for second, action in actions.items() if action is Action.NAME]
    assert named[0] <= 60
    assert named == [NAMED_AFTER + step * NAMED_EVERY for step in range(3)]


def test_a_new_cause_is_named_on_its_own() -> None:
    one = policy(may_retry=False)
    for second in range(30):
        one.decide(PULL, second)
    actions = [one.decide(OPERATOR, second) for second in range(30, 30 + int(NAMED_AFTER) + 5)]
    assert Action.NAME in actions


def test_a_cluster_that_the_operator_lost_is_recreated_once() -> None:
    for may_retry, expected in ((True, True), (False, False)):
        one = policy(may_retry=may_retry)
        actions = [one.decide(OPERATOR, second) for second in range(int(LOST_AFTER) + 5)]
        assert (Action.RETRY in actions) is expected
        assert Action.FAIL not in actions


def test_a_busy_operator_has_as_long_for_the_second_part_of_a_cluster_as_it_took_for_the_first() -> None:
    one = policy()
    for second in range(50):
        assert one.decide(PULL, second) is Action.WAIT or second >= NAMED_AFTER
    actions = [one.decide(OPERATOR, second) for second in range(50, 101)]
    assert Action.RETRY not in actions[:50]
    assert actions[50] is Action.RETRY
