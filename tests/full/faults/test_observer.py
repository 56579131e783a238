"""What happens to a run on the real cluster when the Prefect worker's observer is gone and the worker looks healthy."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ended, logged, running
from tools.cluster import process

WORKER = "deployment/prefect-worker-dask"
OBSERVER = "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_ENABLED"


@contextlib.contextmanager
def without_an_observer(newcomer: Newcomer) -> Iterator[None]:
    """Run the worker without the thread that watches Jobs and pods."""
    newcomer.kubectl("set", "env", WORKER, f"{OBSERVER}=false")
    try:
        newcomer.kubectl("rollout", "status", WORKER, "--timeout=180s")
        yield
    finally:
        newcomer.kubectl("set", "env", WORKER, f"{OBSERVER}-")
        newcomer.kubectl("rollout", "status", WORKER, "--timeout=180s")


def test_a_killed_run_is_crashed_while_the_worker_has_no_observer_and_its_probe_is_green(newcomer: Newcomer) -> None:
    with without_an_observer(newcomer):
        run = running(newcomer, "patient/one", "--param", "seconds=600")
        processes = process.with_variable("PREFECT__FLOW_RUN_ID", run)
        assert processes
        for identity in processes:
            identity.signal(signal.SIGKILL)
        killed = time.monotonic()
        kind, message = ended(newcomer, run, seconds=30)
        assert kind == "CRASHED", message
        assert "exit code 137" in message, message
        assert time.monotonic() - killed < 25
        ready = newcomer.kubectl("get", WORKER, "-o", "jsonpath={.status.readyReplicas}")
        assert ready == "1", "the worker's probe is not green"
        assert OBSERVER in newcomer.kubectl("get", WORKER, "-o", "yaml"), "the fault took no effect"
        following = newcomer.start("patient/one", "--param", "seconds=1")
        assert ended(newcomer, following, seconds=120)[0] == "COMPLETED", logged(newcomer, following)
