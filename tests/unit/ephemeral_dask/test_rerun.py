from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.results import ResultRecordMetadata
from prefect.serializers import PickleSerializer
from prefect.states import Completed, Failed, Running

from ephemeral_dask import rerun
from ephemeral_dask.submission import NO_RERUN, Submission


def submission(name: str, inputs: list[Submission] | None = None, after: list[Submission] | None = None) -> Submission:
    task = SimpleNamespace(name=name, tags={NO_RERUN} if name == "pay" else set())
    arguments = {"task": task, "task_run_id": uuid4(), "parameters": {}, "wait_for": None}
    made = Submission(str, arguments, frozenset())
    made.inputs, made.predecessors = inputs or [], after or []
    return made


def finished(one: Submission) -> Submission:
    one.finished = True
    return one


def names(submissions: list[Submission]) -> list[str]:
    return [one.task for one in submissions]


def stored() -> State[Any]:
    return Completed(data=ResultRecordMetadata(storage_key="k", expiration=None, serializer=PickleSerializer()))


def test_what_an_unfinished_task_takes_runs_again_and_what_it_only_waits_for_does_not() -> None:
    load, check = finished(submission("load")), finished(submission("check"))
    other = finished(submission("other"))
    clean = submission("clean", [load], after=[check])
    assert names(rerun.to_run([clean], lambda one: one.state)) == ["load", "clean"]
    assert other not in rerun.reachable([clean])


def test_a_state_at_hand_stops_the_search() -> None:
    raw = finished(submission("raw"))
    load = finished(submission("load", [raw]))
    clean = submission("clean", [load])
    assert names(rerun.to_run([clean], lambda one: stored() if one is load else None)) == ["clean"]
    assert names(rerun.to_run([clean], lambda one: one.state)) == ["raw", "load", "clean"]


def test_tasks_run_again_in_the_order_in_which_they_were_submitted() -> None:
    first, second = submission("first"), submission("second")
    third = submission("third", [second], after=[first])
    assert names(rerun.to_run([third, second, first], lambda one: one.state)) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("state", "dask_finished", "failed", "offered"),
    [
        (stored(), False, False, True),
        (Completed(), True, False, False),
        (Failed(), True, True, False),
        (Failed(), False, False, False),
        (Running(), False, False, False),
    ],
)
def test_a_stored_result_counts_and_a_failure_only_if_dask_has_reported_it_too(
    state: State[Any], dask_finished: bool, failed: bool, offered: bool
) -> None:
    one = submission("one")
    one.finished = dask_finished
    offers = rerun.learn([one], {one.task_run_id: state})
    assert (one.state is state, one.task_run_id in offers) == (failed, offered)


def test_only_a_task_whose_inputs_were_not_there_has_certainly_not_begun() -> None:
    load = submission("load")
    pay = submission("pay", [load])
    assert pay.no_rerun
    assert not rerun.may_have_run(pay)
    finished(load)
    assert rerun.may_have_run(pay)
    assert rerun.may_have_run(submission("pay"))
