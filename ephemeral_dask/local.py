"""The Dask cluster of a run outside Kubernetes: processes on this machine."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from distributed import LocalCluster
from prefect.client.base import ServerType
from prefect.context import FlowRunContext, SettingsContext

from ephemeral_dask import artifacts, scheduler_plugin
from ephemeral_dask.groups import LARGE
from ephemeral_dask.identity import current_run
from ephemeral_dask.settings import DaskSettings
from ephemeral_dask.usage import Usage

Log = logging.Logger | logging.LoggerAdapter[Any]

_ANSWER: Final = 5.0
"""Seconds that the scheduler has for its counters."""


class LocalRunCluster(LocalCluster):
    """The Dask cluster of one attempt of one flow run, of a fixed size: an idle process costs nothing here.

    Args:
        workers: number of processes.
        settings: of the run.
        log: of the run; used when its context is left.

    """

    def __init__(self, workers: int, settings: DaskSettings, log: Log) -> None:
        self._run = current_run()
        self._settings = settings
        self._run_log = log
        began = time.monotonic()
        super().__init__(  # type: ignore[no-untyped-call]  # it carries no annotation
            n_workers=workers,
            threads_per_worker=settings.worker_threads,
            dashboard_address="127.0.0.1:0",  # any free port: two flows side by side are normal
            resources={LARGE: settings.worker_threads},
        )
        self._up = time.monotonic()
        self._started = self._up - began

    def measure(self, client: Any) -> None:
        """Let scheduler and workers measure what tasks use. A run never fails because of it."""
        try:
            client.sync(scheduler_plugin.measure, client.scheduler)
        except Exception as error:  # noqa: BLE001 - see above
            self._run_log.warning("What the workers use is not measured: %r", error)

    def end(self, losses: Sequence[str], *, summary: bool) -> None:
        """Close the cluster, with a summary if it was the run's last one."""
        usage = self._usage() if summary else None
        with suppress(Exception):
            self.close()
        if usage is not None:
            artifacts.summary(self._run, self._settings, self._started, usage, self._run_log, losses=losses, here=True)

    def _usage(self) -> Usage | None:
        async def counters() -> dict[str, Any]:
            return scheduler_plugin.counters(self.scheduler)

        try:
            values = self.sync(counters, callback_timeout=_ANSWER)  # type: ignore[no-untyped-call]  # likewise
            return Usage.of(values, seconds=time.monotonic() - self._up)
        except Exception as error:  # noqa: BLE001 - no summary is worth a failed run
            self._run_log.warning("What the workers used is not known: %r", error)
            return None


def local_cluster(settings: DaskSettings, log: Log) -> LocalRunCluster:
    """Open a cluster with a process for each worker that the run may have, and each core there is."""
    workers = min(settings.maximum, os.cpu_count() or 1)
    log.info("Not in Kubernetes: a Dask cluster of %d processes on this machine", workers)
    _share_temporary_server()
    return LocalRunCluster(workers, settings, log)


def _share_temporary_server() -> None:
    """Let the Dask processes report to the server that Prefect started for this process, if it did.

    Prefect hands its settings to them with every task. Without the address in these, each starts a server of
    its own, some ten seconds and 200 MiB a piece. The address stays for the rest of the process, like the server.
    """
    run, settings = FlowRunContext.get(), SettingsContext.get()
    if run is None or settings is None or run.client.server_type is not ServerType.EPHEMERAL:
        return
    shared = settings.settings.copy_with_update(updates={"api.url": str(run.client.api_url)})
    SettingsContext(profile=settings.profile, settings=shared).__enter__()
