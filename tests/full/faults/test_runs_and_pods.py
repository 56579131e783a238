"""What happens to a run on the real cluster when its pod does not start, and when the Prefect server goes away."""

from __future__ import annotations

import time

from ephemeral_dask.contract import labels
from ephemeral_dask.contract.causes import Cause
from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.newcomer import Newcomer
from tests.full.faults.runs import ended, state
from tools.cluster.wait import until

OUTAGE = 120
"""Seconds without a server."""

SERVER = "app.kubernetes.io/name=prefect-server"


def jobs(newcomer: Newcomer, run: str) -> str:
    return newcomer.kubectl("get", "jobs,pods", "-l", f"{labels.PREFECT_FLOW_RUN}={run}", "-o", "name")


def test_a_run_whose_image_is_missing_is_crashed_with_the_cause_and_leaves_nothing(newcomer: Newcomer) -> None:
    repository = newcomer.shell("pulumi stack output flowImage").output.partition("@")[0].strip()
    image = f"{repository}@sha256:{'0' * 64}"
    run = newcomer.start("patient/one", "--job-variable", f"image={image}")
    assert until(lambda: "pod/" in jobs(newcomer, run), seconds=60, interval=1), "the fault took no effect"
    kind, message = ended(newcomer, run, seconds=PENDING_TIMEOUT + 90)
    assert kind == "CRASHED", message
    assert f"did not start within {PENDING_TIMEOUT} s: {Cause.IMAGE_PULL}" in message
    assert image in message
    assert until(lambda: not jobs(newcomer, run), seconds=30, interval=1), jobs(newcomer, run)


def test_a_run_that_is_cancelled_while_pending_is_cancelled_at_once_and_leaves_nothing(newcomer: Newcomer) -> None:
    run = newcomer.start("patient/one", "--job-variable", "cpu_request=64")
    assert until(lambda: "pod/" in jobs(newcomer, run), seconds=60, interval=1), "the slot of the crashed run is taken"
    assert newcomer.shell(f".venv/bin/prefect flow-run cancel {run}").status == 0
    cancelled = time.monotonic()
    assert until(lambda: not jobs(newcomer, run), seconds=60, interval=1), jobs(newcomer, run)
    assert time.monotonic() - cancelled < 15
    assert ended(newcomer, run, seconds=30)[0] == "CANCELLED"


def test_a_run_that_holds_a_lease_lives_through_a_restart_and_an_outage_of_the_server(newcomer: Newcomer) -> None:
    """A lease is renewed every 225 s: the run lives for longer, so that one renewal comes after the restart."""
    run = newcomer.start("patient/one", "--param", "seconds=420")
    assert until(lambda: state(newcomer, run)[0] == "RUNNING", seconds=120, interval=2), state(newcomer, run)
    newcomer.kubectl("rollout", "restart", "deployment/prefect-server")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    newcomer.kubectl("scale", "deployment/prefect-server", "--replicas=0")
    newcomer.kubectl("wait", "--for=delete", "pod", "-l", SERVER, "--timeout=120s")
    stopped = time.monotonic()
    assert until(lambda: time.monotonic() - stopped > OUTAGE, seconds=2 * OUTAGE, interval=5)
    newcomer.kubectl("scale", "deployment/prefect-server", "--replicas=1")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    assert state(newcomer, run)[0] in {"RUNNING", "COMPLETED"}
    assert ended(newcomer, run, seconds=480)[0] == "COMPLETED"
    following = newcomer.start("patient/one", "--param", "seconds=1")
    assert ended(newcomer, following, seconds=120)[0] == "COMPLETED", "its slot is still taken"
