"""What happens to a run on the real cluster when it gets no Job, and when the Prefect server goes away."""

from __future__ import annotations

import time

from ephemeral_dask.contract import labels
from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ask, ended, jobs, left, logged, state, task_states
from tools.cluster.wait import until

OUTAGE = 300
"""Seconds without a server."""

SERVER = "app.kubernetes.io/name=prefect-server"


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
    leased = newcomer.start("patient/one", "--param", "seconds=600")
    on_dask = newcomer.start("steps/default", "--param", "count=500")
    doomed = newcomer.start("steps/default", "--param", "count=500")
    for run in (leased, on_dask, doomed):
        assert until(lambda run=run: state(newcomer, run)[0] == "RUNNING", seconds=180, interval=2), logged(
            newcomer, run
        )
    for run in (on_dask, doomed):
        assert until(lambda run=run: "COMPLETED" in task_states(newcomer, run), seconds=180, interval=2)
    newcomer.kubectl("rollout", "restart", "deployment/prefect-server")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    newcomer.kubectl("scale", "deployment/prefect-server", "--replicas=0")
    newcomer.kubectl("wait", "--for=delete", "pod", "-l", SERVER, "--timeout=120s")
    stopped = time.monotonic()
    newcomer.kubectl("delete", "job", "-l", f"{labels.PREFECT_FLOW_RUN}={doomed}", "--wait=true", namespace=RUNS)
    assert until(lambda: not jobs(newcomer, doomed), seconds=120, interval=2), "the fault took no effect"
    assert until(lambda: time.monotonic() - stopped > OUTAGE, seconds=2 * OUTAGE, interval=5)
    newcomer.kubectl("scale", "deployment/prefect-server", "--replicas=1")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    kind, message = ended(newcomer, doomed, seconds=60)
    assert (kind, message.partition(".")[0]) == ("CRASHED", "Its Job was deleted")
    assert until(lambda: not left(newcomer, doomed), seconds=90, interval=1), left(newcomer, doomed)
    for run in (leased, on_dask):
        assert state(newcomer, run)[0] == "RUNNING", state(newcomer, run)
    for run in (leased, on_dask):
        assert ended(newcomer, run, seconds=600)[0] == "COMPLETED", logged(newcomer, run)
    following = newcomer.start("patient/one", "--param", "seconds=1")
    assert ended(newcomer, following, seconds=120)[0] == "COMPLETED", "its slot is still taken"
