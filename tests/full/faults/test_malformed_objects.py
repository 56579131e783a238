"""What the reaper does on the real cluster beside a DaskCluster that says what it cannot read."""

from __future__ import annotations

import signal

from ephemeral_dask.contract import labels
from infra import naming
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ended, left, logged, restarts, running, with_tasks_under_way
from tools.cluster import process
from tools.cluster.wait import until

UNREADABLE = "soon"


def test_a_malformed_dask_cluster_is_named_once_and_the_reaper_judges_all_other_runs(newcomer: Newcomer) -> None:
    def warnings() -> int:
        return newcomer.kubectl("logs", f"deployment/{naming.REAPER}", "--tail=-1").count(f"'{UNREADABLE}'")

    run, _ = with_tasks_under_way(newcomer, "--param", "count=90")
    before = restarts(newcomer, naming.REAPER)
    clusters = ("daskclusters", "-l", f"ephemeral-dask/flow-run={run}")
    newcomer.kubectl("annotate", *clusters, "--overwrite", f"{labels.START_TIMEOUT}={UNREADABLE}", namespace=RUNS)
    assert until(lambda: warnings() > 0, seconds=60, interval=1), "the fault took no effect"

    other = running(newcomer, "patient/one", "--param", "seconds=600")
    for identity in process.with_variable("PREFECT__FLOW_RUN_ID", other):
        identity.signal(signal.SIGKILL)
    kind, message = ended(newcomer, other, seconds=30)
    assert kind == "CRASHED", message
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)
    assert warnings() == 1
    assert restarts(newcomer, naming.REAPER) == before
