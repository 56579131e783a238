"""What happens to a run on the real cluster without a Job, a server or enough memory, and when it is cancelled."""

from __future__ import annotations

import time

from ephemeral_dask.contract import labels
from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.outage import LiveRuns
from tests.e2e.runs import ask, ended, jobs, left, logged, state, with_tasks_under_way
from tools.cluster.wait import until

OUTAGE = 300
"""Seconds without a server."""

CANCELLED_WITHIN = 15.0
"""Seconds from the command until no pod of a cancelled run is alive."""


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


def test_a_run_whose_flow_needs_more_memory_than_its_pod_has_is_crashed_with_the_cause(newcomer: Newcomer) -> None:
    run = newcomer.start("filling/default", "--job-variable", "memory_limit=512Mi")
    kind, message = ended(newcomer, run, seconds=240)
    assert kind == "CRASHED", message
    assert "Beginning flow run" in logged(newcomer, run), "it ended before its flow began"
    # The kernel kills the whole container with cgroups v2, and with v1 one process, whose end its parent reports.
    assert "OOMKilled" in message or "exceeding memory limits" in message, message
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_a_run_that_is_cancelled_while_running_is_cancelled_in_time_and_leaves_nothing(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer)
    assert newcomer.shell(f".venv/bin/prefect flow-run cancel {run}").status == 0
    cancelled = time.monotonic()

    def alive() -> str:
        flow_pods = ("pods", "-l", f"{labels.PREFECT_FLOW_RUN}={run}", "--field-selector=status.phase=Running")
        return left(newcomer, run) + newcomer.kubectl("get", *flow_pods, "-o", "name", namespace=RUNS)

    assert until(lambda: not alive(), seconds=90, interval=0.5), alive()
    assert time.monotonic() - cancelled < CANCELLED_WITHIN, logged(newcomer, run)
    assert ended(newcomer, run, seconds=60)[0] == "CANCELLED"


def test_runs_live_through_a_restart_and_a_long_outage_of_the_server_and_one_that_died_is_crashed(
    newcomer: Newcomer,
) -> None:
    """Prefect renews a lease every 225 s: the outage is longer, so it has one of these moments in it, at the least."""
    runs = LiveRuns.start(newcomer, seconds=600, count=600)
    newcomer.kubectl("rollout", "restart", "deployment/prefect-server")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    runs.check_an_outage(OUTAGE)
