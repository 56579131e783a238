"""A Dask cluster of processes for a benchmark. Run as a module it is the process that holds scheduler and nannies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from distributed import Client, LocalCluster
from distributed.security import Security

from tools.errors import Problem


@dataclass(frozen=True, kw_only=True)
class DaskProcesses:
    """A running cluster.

    Attributes:
        address: that of its scheduler.
        scheduler: the process with the scheduler and the nannies.
        workers: the worker processes.

    """

    address: str
    scheduler: psutil.Process
    workers: tuple[psutil.Process, ...]

    def processor_of_scheduler(self) -> float:
        """Return the seconds of processor time that scheduler and nannies have used since their start."""
        return processor(self.scheduler)

    def processor_of_workers(self) -> float:
        """Return the seconds of processor time that the workers have used since their start, all together."""
        return sum(processor(each) for each in self.workers)


def processor(process: psutil.Process) -> float:
    """Return the seconds of processor time that a process has used since its start."""
    times = process.cpu_times()
    seconds: float = times.user + times.system
    return seconds


@contextmanager
def running(workers: int, environment: Mapping[str, str], security: Security | None = None) -> Iterator[DaskProcesses]:
    """Run a scheduler, and workers of one thread each, on the loopback interface.

    Args:
        workers: how many.
        environment: of all processes.
        security: of the connection to the scheduler, where the environment has certificates.

    Raises:
        Problem: the cluster did not start.

    """
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.dask_processes", str(workers)],
        env={**environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        try:
            address = host.stdout.readline().strip() if host.stdout else ""
            if not address:
                raise Problem("The Dask cluster did not start", remedy="Read what it printed above")
            client: Any = Client
            with client(address, security=security, set_as_default=False) as connection:
                pids = connection.run(_pid).values()
            yield DaskProcesses(
                address=address,
                scheduler=psutil.Process(host.pid),
                workers=tuple(psutil.Process(pid) for pid in pids),
            )
        finally:
            if host.stdin:
                host.stdin.close()


def _pid() -> int:
    return os.getpid()


def main(workers: int) -> None:
    """Run the cluster until standard input is closed."""
    cluster: Any = LocalCluster
    with cluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as local:
        print(local.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
