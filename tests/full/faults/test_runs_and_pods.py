"""What happens to a run on the real cluster when it gets no Job, and when the Prefect server goes away."""

from __future__ import annotations

from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.newcomer import Newcomer
from tests.e2e.outage import LiveRuns
from tests.e2e.runs import ask, ended, jobs, state

OUTAGE = 300
"""Seconds without a server."""


def test_a_run_that_gets_no_job_is_crashed_with_the_cause(newcomer: Newcomer) -> None:
    """A worker that is killed after it has set Pending, and before it creates the Job, leaves such a run."""
    deployment = "(await client.read_deployment_by_name('steps/default')).id"
    created = f"await client.create_flow_run_from_deployment({deployment}, state=states.Pending())"
    run = str(ask(newcomer, f"str(({created}).id)"))
    assert (state(newcomer, run)[0], jobs(newcomer, run)) == ("PENDING", ""), "the fault took no effect"
    kind, message = ended(newcomer, run, seconds=PENDING_TIMEOUT + 60)
    assert kind == "CRASHED"
    assert message == f"It has had no Job for {PENDING_TIMEOUT} s: its worker did not create one."


def test_the_last_words_of_a_pod_that_never_reaches_prefect_are_in_the_runs_state(newcomer: Newcomer) -> None:
    run = newcomer.start("steps/default", "--job-variable", "command=sh -c 'echo last words; exit 3'")
    kind, message = ended(newcomer, run, seconds=180)
    assert kind == "CRASHED", message
    assert "last words" in message


def test_runs_live_through_a_restart_and_a_long_outage_of_the_server_and_one_that_died_is_crashed(
    newcomer: Newcomer,
) -> None:
    """Prefect renews a lease every 225 s: the outage is longer, so it has one of these moments in it, at the least."""
    runs = LiveRuns.start(newcomer, seconds=600, count=600)
    newcomer.kubectl("rollout", "restart", "deployment/prefect-server")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    runs.check_an_outage(OUTAGE)
