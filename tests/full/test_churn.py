"""Twenty runs, some of which are killed at random moments. `make churn` starts 200."""

from __future__ import annotations

from tests.e2e.newcomer import Newcomer


def test_runs_of_which_some_are_killed_all_end_and_leave_nothing(newcomer: Newcomer) -> None:
    done = newcomer.make("churn", "CHURN=20", "SEED=1")
    print(done.output)
    assert done.status == 0, done.output + done.progress
