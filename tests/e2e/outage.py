"""An outage of the Prefect server while runs are live, of which one dies meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ended, jobs, left, logged, running, scaled_down, state, wait_for_tasks
from tools.cluster.wait import until

_SERVER = "prefect-server"


@dataclass(frozen=True)
class LiveRuns:
    """Three runs that are under way.

    Attributes:
        leased: holds the one place of its deployment.
        on_dask: has tasks on Dask, some of them completed.
        doomed: as `on_dask`; its Job is deleted during the outage.

    """

    newcomer: Newcomer
    leased: str
    on_dask: str
    doomed: str

    @classmethod
    def start(cls, newcomer: Newcomer, *, seconds: int, count: int) -> LiveRuns:
        """Start the runs and return them once they are under way.

        Args:
            newcomer: whose stack it is.
            seconds: how long the run with the lease lasts.
            count: how many tasks of two seconds the run on Dask has.

        """
        # A run that ends while the server is away cannot say so: what is to outlive the outage begins last.
        doomed = newcomer.start("steps/default", "--param", "count=500")
        wait_for_tasks(newcomer, doomed)
        on_dask = newcomer.start("steps/default", "--param", f"count={count}")
        wait_for_tasks(newcomer, on_dask)
        leased = running(newcomer, "patient/one", "--param", f"seconds={seconds}")
        return cls(newcomer, leased, on_dask, doomed)

    def check_an_outage(self, seconds: float) -> None:
        """Take the server away for a while and check what becomes of the runs.

        Args:
            seconds: without a server.

        """
        newcomer = self.newcomer
        with scaled_down(newcomer, _SERVER):
            stopped = time.monotonic()
            job = f"{labels.PREFECT_FLOW_RUN}={self.doomed}"
            newcomer.kubectl("delete", "job", "-l", job, "--wait=true", namespace=RUNS)
            assert until(lambda: not jobs(newcomer, self.doomed), seconds=120, interval=2), "the fault took no effect"
            assert until(lambda: time.monotonic() - stopped > seconds, seconds=2 * seconds, interval=5)
        kind, message = ended(newcomer, self.doomed, seconds=60)
        assert (kind, message.partition(".")[0]) == ("CRASHED", "Its Job was deleted")
        assert until(lambda: not left(newcomer, self.doomed), seconds=90, interval=1), left(newcomer, self.doomed)
        for run in (self.leased, self.on_dask):
            assert state(newcomer, run)[0] in ("RUNNING", "COMPLETED"), state(newcomer, run)
        for run in (self.leased, self.on_dask):
            assert ended(newcomer, run, seconds=600)[0] == "COMPLETED", logged(newcomer, run)
        following = newcomer.start("patient/one", "--param", "seconds=1")
        assert ended(newcomer, following, seconds=300)[0] == "COMPLETED", "its slot is still taken"
