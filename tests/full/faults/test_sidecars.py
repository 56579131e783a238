"""What happens to a run on the real cluster when its pod has a sidecar that never ends, as those of a service mesh."""

from __future__ import annotations

import copy
import json
import signal
import time
from typing import Any

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import changed_template, ended, jobs, left, logged, state
from tools.cluster import process
from tools.cluster.wait import until

JOB_IS_DELETED_WITHIN = 75.0
"""Seconds after the final state of a run, as docs/reliability.md says."""

GRACE = 90.0
"""Seconds that a container gets to end, which the sidecar uses up: the default of `flowRun.graceSeconds`."""

NOTHING_IS_LEFT_WITHIN = JOB_IS_DELETED_WITHIN + GRACE + 30


def with_a_sidecar(pod: dict[str, Any]) -> None:
    """Add a container that ignores the end of the others."""
    [flow] = pod["containers"]
    sidecar = {
        "name": "proxy",
        "image": flow["image"],
        "command": ["sleep", "infinity"],
        "securityContext": copy.deepcopy(flow["securityContext"]),
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
    }
    pod["containers"].append(sidecar)


def pod_of(newcomer: Newcomer, run: str) -> dict[str, Any]:
    """Return the pod of a run, or nothing."""
    selector = f"{labels.PREFECT_FLOW_RUN}={run}"
    items = json.loads(newcomer.kubectl("get", "pods", "-l", selector, "-o", "json", namespace=RUNS))["items"]
    return dict(items[0]) if items else {}


def containers(newcomer: Newcomer, run: str) -> dict[str, str]:
    """Return container -> `running`, `terminated` or `waiting`."""
    statuses = pod_of(newcomer, run).get("status", {}).get("containerStatuses", [])
    return {each["name"]: next(iter(each["state"])) for each in statuses}


def test_a_run_whose_sidecar_never_ends_completes_and_leaves_nothing(newcomer: Newcomer) -> None:
    with changed_template(newcomer, with_a_sidecar):
        on_dask = newcomer.start("steps/default", "--param", "count=4", "--param", "seconds=1")
        limited = newcomer.start("patient/one", "--param", "seconds=1")
        for run in (on_dask, limited):
            assert until(lambda run=run: bool(pod_of(newcomer, run)), seconds=120, interval=1)
            assert len(pod_of(newcomer, run)["spec"]["containers"]) == 2, "the fault took no effect"
    for run in (limited, on_dask):
        assert ended(newcomer, run, seconds=240)[0] == "COMPLETED", logged(newcomer, run)
    final = time.monotonic()
    assert "running" in containers(newcomer, on_dask).values(), "the fault took no effect"
    assert until(lambda: not left(newcomer, on_dask), seconds=60, interval=1), left(newcomer, on_dask)
    for run in (limited, on_dask):
        assert until(lambda run=run: not jobs(newcomer, run), seconds=NOTHING_IS_LEFT_WITHIN, interval=1)
    print(f"Jobs and pods were gone {time.monotonic() - final:.0f} s after the last final state")
    assert state(newcomer, on_dask)[0] == state(newcomer, limited)[0] == "COMPLETED"
    following = newcomer.start("patient/one", "--param", "seconds=1")
    assert ended(newcomer, following, seconds=120)[0] == "COMPLETED", "its slot is still taken"


def test_a_run_that_is_killed_beside_its_sidecar_is_crashed_and_leaves_nothing(newcomer: Newcomer) -> None:
    with changed_template(newcomer, with_a_sidecar):
        run = newcomer.start("steps/default", "--param", "count=200")
        assert until(lambda: "-worker-" in left(newcomer, run), seconds=180, interval=1), logged(newcomer, run)
        assert len(pod_of(newcomer, run)["spec"]["containers"]) == 2, "the fault took no effect"
    for identity in process.with_variable("PREFECT__FLOW_RUN_ID", run):
        identity.signal(signal.SIGKILL)
    assert until(lambda: "terminated" in containers(newcomer, run).values(), seconds=30, interval=0.5)
    assert "running" in containers(newcomer, run).values(), "the fault took no effect"
    assert ended(newcomer, run, seconds=30)[0] == "CRASHED"
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)
    assert until(lambda: not jobs(newcomer, run), seconds=NOTHING_IS_LEFT_WITHIN, interval=1), jobs(newcomer, run)
