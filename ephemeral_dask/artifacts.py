"""What a run shows in Prefect about its Dask cluster."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.results import get_default_result_storage
from prefect.settings import get_current_settings

from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.keepalive import Usage
from ephemeral_dask.settings import DaskSettings

Log = logging.Logger | logging.LoggerAdapter[Any]

DASHBOARD_KEY: Final = "dask-dashboard"
SUMMARY_KEY: Final = "dask-summary"


def dashboard(run: RunIdentity, link: str, address: str, log: Log) -> None:
    """Show where the live dashboard is, in the log and as an artifact.

    Args:
        run: whose cluster it is.
        link: what a person's browser can open.
        address: the dashboard as a pod sees it.
        log: of the run.

    """
    how = f"open it with `make dashboard RUN={run.flow_run_id}`; inside the Kubernetes cluster it is {address}"
    log.info("Dask dashboard: %s (%s)", link, how)
    _publish(run, DASHBOARD_KEY, f"[Dask dashboard]({link})", f"The run's live Dask dashboard: {how}.", log)


def summary(
    run: RunIdentity,
    settings: DaskSettings,
    started: float,
    usage: Usage,
    log: Log,
    *,
    losses: Sequence[str] = (),
) -> None:
    """Show what the run's Dask cluster was and did.

    Args:
        run: whose cluster it was.
        settings: how large it might become.
        started: seconds until it was up.
        usage: what it did.
        log: of the run.
        losses: why each cluster of the run was lost that was; the other rows are about the last one.

    """
    report = keep_report(run, usage.report, log) if usage.report else ""
    rows = {
        "profile": settings.profile_name or "none",
        "start": f"{started:.1f} s",
        "life": f"{usage.seconds:.0f} s",
        "workers": f"{settings.minimum} to {settings.maximum}, {usage.peak} at the peak",
        "worker": f"{settings.worker_cpu} CPU, {settings.worker_memory}, {settings.worker_threads} threads",
        "worker-seconds": f"{usage.worker_seconds:.0f}",
        "tasks": str(usage.tasks),
        "tasks run again": str(usage.again),
        **({"performance report": report} if report else {}),
        **({"clusters lost": f"{len(losses)}; {'; '.join(losses)}".replace("|", "/")} if losses else {}),
    }
    log.info("Dask cluster: %s", "; ".join(f"{name} {value}" for name, value in rows.items()))
    table = "\n".join(["| Dask cluster | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
    _publish(run, SUMMARY_KEY, table, "What the run's Dask cluster was and did.", log)


def keep_report(run: RunIdentity, html: str, log: Log) -> str:
    """Write Dask's performance report into Prefect's result storage and return where it is there, or "".

    A run never fails because of it.
    """
    if not get_current_settings().results.persist_by_default:
        log.warning("Dask's performance report is not kept: this stack has no result storage (`results` in its file)")
        return ""
    path = f"dask-reports/{run.flow_label}/{run.flow_run_id}-{run.attempt}.html"

    def write() -> None:
        find: Any = get_default_result_storage  # its annotation forgets that it takes _sync
        storage = find(_sync=True)
        done = storage.write_path(path, content=html.encode())
        if inspect.isawaitable(done):
            asyncio.run(_finish(done))

    # In a thread of its own: some kinds of storage want to be awaited and others must not be, by where they are
    # called from, and this is called from async flows too.
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as aside:
        try:
            aside.submit(context.run, write).result()
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("Dask's performance report could not be written to the result storage: %s", error)
            return ""
    return path


async def _finish(done: Awaitable[Any]) -> None:
    await done


def _publish(run: RunIdentity, key: str, markdown: str, description: str, log: Log) -> None:
    """Create an artifact of the run. A run never fails because of it."""
    try:
        flow_run = UUID(run.flow_run_id)
    except ValueError:  # no flow run: somebody entered the task runner by hand
        return
    artifact = ArtifactCreate(key=key, type="markdown", description=description, data=markdown, flow_run_id=flow_run)
    try:
        # Prefect's own create_..._artifact() wants to be awaited in an async flow, and we are called by either.
        with get_client(sync_client=True) as client:
            client.create_artifact(artifact)
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("The artifact %s could not be created: %s", key, error)
