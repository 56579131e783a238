"""A Dask scheduler and a worker with a nanny, each a process with the certificates of a cluster, as their pods are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ephemeral_dask import upstream
from ephemeral_dask.certificates import Certificates
from ephemeral_dask.contract import tls
from tests.support.dask_processes import START, write
from tests.support.scratch_prefect import answers, free_port
from tools.cluster.wait import until
from tools.paths import ROOT


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the processes listen on the loopback interface."""

    scheduler: int
    dashboard: int
    worker: int
    nanny: int


@contextmanager
def running(certificates: Certificates, home: Path) -> Iterator[Ports]:
    """Run both, until the worker has started.

    Args:
        certificates: of the cluster.
        home: an empty folder.

    """
    write(certificates, home)
    ports = Ports(scheduler=free_port(), dashboard=free_port(), worker=free_port(), nanny=free_port())
    health = free_port()
    commands = (
        (
            *upstream.SCHEDULER_COMMAND,
            *("--host", "127.0.0.1", "--port", str(ports.scheduler)),
            *("--dashboard-address", f"127.0.0.1:{ports.dashboard}"),
        ),
        (
            *upstream.WORKER_COMMAND,
            *("--host", "127.0.0.1", "--worker-port", str(ports.worker), "--nanny-port", str(ports.nanny)),
            *("--name", "only", "--nthreads", "4", "--dashboard-address", f"127.0.0.1:{health}"),
        ),
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **tls.variables(str(home)),
        upstream.HTTP_ROUTES_VARIABLE: upstream.http_routes_value(),
        "DASK_SCHEDULER_ADDRESS": f"tls://127.0.0.1:{ports.scheduler}",
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (home / "dask.log").open("wb") as log:
            for words, port in zip(commands, (ports.dashboard, health), strict=True):
                process = subprocess.Popen(
                    [sys.executable, "-m", *words], cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT
                )
                processes.append(process)
                started = until(lambda port=port: answers(f"http://127.0.0.1:{port}/health"), seconds=START)
                assert started, (home / "dask.log").read_text()
        yield ports
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)
