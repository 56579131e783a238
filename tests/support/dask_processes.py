"""Dask clusters of processes on the loopback interface: what a run takes for its clusters in Kubernetes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed.core import Status
from distributed.security import Security

from ephemeral_dask.certificates import Certificates
from ephemeral_dask.contract import tls
from tests.support.scratch_prefect import answers, free_port
from tools.cluster.wait import until
from tools.paths import ROOT

START = 180.0
"""Seconds for the start of a scheduler on a busy machine."""


def write(certificates: Certificates, folder: Path) -> None:
    """Write what the pods of a cluster mount into a folder, which is created if need be."""
    folder.mkdir(exist_ok=True)
    for name, content in certificates.files.items():
        (folder / name).write_text(content)


@dataclass
class ProcessCluster:
    """A scheduler and workers, each a process of its own.

    Attributes:
        scheduler: its process.
        workers: theirs.
        scheduler_address: where it listens.
        security: what a client connects with.
        status: as Dask's own clusters have it.

    """

    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]
    scheduler_address: str
    security: Security
    status: Status = Status.running

    def kill_scheduler(self) -> None:
        """End the scheduler as a lost node does: it says goodbye to no one."""
        self.scheduler.send_signal(signal.SIGKILL)
        self.scheduler.wait(10)

    def end(self) -> None:
        """End all processes; workers with a living scheduler as a pod ends, so that they send what they know."""
        if self.scheduler.poll() is None:
            for worker in self.workers:
                worker.terminate()
            for worker in self.workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(30)
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait(10)


@dataclass
class ProcessClusters:
    """Where the clusters come from, each with certificates of its own. Equal to a copy of itself only.

    Attributes:
        home: an empty folder for logs.
        limit: how many clusters may follow the first one.
        workers: in each.
        environment: of their processes, in addition to this one's.

    """

    home: Path
    limit: int = 2
    workers: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    opened: list[ProcessCluster] = field(default_factory=list)
    discarded: list[tuple[Sequence[str], bool]] = field(default_factory=list)

    def __reduce__(self) -> Any:
        return ProcessClusters, (self.home, self.limit, self.workers)

    @property
    def current(self) -> ProcessCluster:
        return self.opened[-1]

    def restarts(self) -> int:
        return self.limit

    def open(self, abandoned: threading.Event) -> ProcessCluster:
        port, dashboard = free_port(), free_port()
        address = f"tls://127.0.0.1:{port}"
        certificates = Certificates.new()
        folder = self.home / f"certificates-{port}"
        write(certificates, folder)
        options = ("--host", "127.0.0.1", "--port", str(port), "--dashboard-address", f"127.0.0.1:{dashboard}")
        scheduler = self._process(folder, "scheduler", *options)
        until(lambda: abandoned.is_set() or answers(f"http://127.0.0.1:{dashboard}/health"), seconds=START)
        options = ("--no-nanny", "--nthreads", "4", "--no-dashboard", "--local-directory", str(self.home))
        workers = [self._process(folder, "worker", address, *options) for _ in range(self.workers)]
        self.opened.append(ProcessCluster(scheduler, workers, address, certificates.security))
        return self.current

    def watch(self, cluster: ProcessCluster, client: Any) -> None:
        pass

    def why_lost(self, cluster: ProcessCluster) -> str:
        return f"scheduler {self.opened.index(cluster) + 1} was killed"

    def why_killed(self, _cluster: ProcessCluster, error: BaseException) -> str:
        return f"the worker is gone: {type(error).__name__}"

    def discard(self, cluster: ProcessCluster, losses: Sequence[str], *, last: bool) -> None:
        self.discarded.append((tuple(losses), last))
        cluster.status = Status.closed
        cluster.end()

    def _process(self, certificates: Path, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                cwd=self.home,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    **tls.variables(str(certificates)),
                    **self.environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
