"""What a run shows in Prefect about its Dask cluster."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.results import get_default_result_storage
from prefect.settings import get_current_settings

from ephemeral_dask import trend
from ephemeral_dask.costs import Costs
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.settings import DaskSettings
from ephemeral_dask.summary import Summary
from ephemeral_dask.usage import Usage

Log = logging.Logger | logging.LoggerAdapter[Any]

DASHBOARD_KEY: Final = "dask-dashboard"
SUMMARY_KEY: Final = "dask-summary"

_EARLIER: Final = 5
"""Tables of a deployment that are read for the next one: as many runs may end at the same time."""


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
    costs: Costs | None = None,
    deployment: str | None = None,
    here: bool = False,
) -> None:
    """Show what the run's Dask cluster was, did and used. A run never fails because of it.

    Args:
        run: whose cluster it was.
        settings: how large it might become.
        started: seconds until it was up.
        usage: what it did.
        log: of the run.
        losses: why each cluster of the run was lost that was; the other rows are about the last one.
        costs: what the run cost, where the stack has prices.
        deployment: name of the run's deployment, which has a table of its last runs.
        here: whether it was a cluster of processes on this machine.

    """
    try:
        content = Summary(
            settings=settings,
            started=started,
            usage=usage,
            losses=losses,
            costs=costs,
            report=keep_report(run, usage.report, log) if usage.report else "",
            here=here,
        )
        log.info("Dask cluster: %s", content.line)
        for sentence in content.next_sizes():
            log.info("Next size: %s", sentence)
        _publish(run, SUMMARY_KEY, content.markdown, "What the run's Dask cluster was, did and used.", log)
        if deployment:
            _publish_trend(run, content, deployment, log)
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("The summary of the run's Dask cluster could not be made: %r", error)


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
    _create(run, ArtifactCreate(key=key, type="markdown", description=description, data=markdown), log)


def _publish_trend(run: RunIdentity, content: Summary, deployment: str, log: Log) -> None:
    """Create the deployment's table again, with this run in it. A run never fails because of it."""
    key = trend.key(run.flow, deployment)
    row = trend.row(run, content, datetime.now(UTC))

    def table(client: SyncPrefectClient) -> str:
        only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        earlier = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=_EARLIER)
        return json.dumps(trend.table(row, [artifact.data for artifact in earlier]))

    description = f"What the last {trend.RUNS} runs of {run.flow}/{deployment} used, of what they asked for."
    _create(run, ArtifactCreate(key=key, type="table", description=description), log, data=table)


def _create(
    run: RunIdentity, artifact: ArtifactCreate, log: Log, *, data: Callable[[SyncPrefectClient], str] | None = None
) -> None:
    try:
        artifact.flow_run_id = UUID(run.flow_run_id)
    except ValueError:  # no flow run: somebody entered the task runner by hand
        return
    try:
        # Prefect's own create_..._artifact() wants to be awaited in an async flow, and we are called by either.
        with get_client(sync_client=True) as client:
            if data is not None:
                artifact.data = data(client)
            client.create_artifact(artifact)
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("The artifact %s could not be created: %s", artifact.key, error)
