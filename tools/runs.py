"""Start a deployment, follow its run to the end, and say how it ended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterTimestamp,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from ephemeral_dask.contract import labels
from tools.errors import Problem
from tools.progress import duration, say

_POLL: Final = 1.0
"""Seconds between two looks at a run."""
_PAGE: Final = 200
"""Log lines fetched at once; the server's own limit."""
_LATE: Final = timedelta(seconds=10)
"""How much later than a younger line a line may arrive: workers send theirs every two seconds."""
_GONE: Final = 60.0
"""Seconds after a run's end until its Dask cluster must be gone."""


def parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `name=value` pairs; a value that is JSON is taken as that, any other as text.

    Raises:
        Problem: a pair has no `=`.

    """
    found = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (name and separator):
            raise Problem(f"'{pair}' is no parameter", remedy="Write PARAMS as name=value, separated by spaces")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def run(
    deployment: str,
    given: Mapping[str, Any],
    *,
    api_url: str,
    credential: Mapping[str, str],
    namespace: str,
    environment: Mapping[str, str],
) -> bool:
    """Run a deployment to its end and print its logs, its Dask cluster's comings and goings and its artifacts.

    Args:
        deployment: `<flow>/<deployment>`.
        given: its parameters.
        api_url: the Prefect API as this machine sees it.
        credential: PREFECT_API_KEY or PREFECT_API_AUTH_STRING, where the API asks for one.
        namespace: where its Dask cluster appears.
        environment: the environment in which kubectl talks to the cluster.

    Returns:
        Whether it ended Completed.

    Raises:
        Problem: there is no such deployment, or something of its Dask cluster is left a minute after its end.

    """
    key, auth = credential.get("PREFECT_API_KEY"), credential.get("PREFECT_API_AUTH_STRING")
    with temporary_settings({PREFECT_API_URL: api_url, PREFECT_API_KEY: key, PREFECT_API_AUTH_STRING: auth}):
        try:
            return asyncio.run(_run(deployment, given, _DaskWatch(namespace, environment)))
        except httpx.TransportError as error:
            raise Problem(
                f"The Prefect API at {api_url} stopped answering ({error})",
                remedy="A run that has started goes on without us: follow it in the Prefect UI (`make ui`), and see"
                " `make doctor` for what is down",
            ) from None
        except PrefectHTTPStatusError as error:
            raise Problem(
                f"Prefect refused to run {deployment}",
                remedy="Mend what it says below",
                detail=error.response.text,
            ) from None


async def _run(deployment: str, given: Mapping[str, Any], watch: _DaskWatch) -> bool:
    async with get_client() as client:
        flow_run = await _create(client, deployment, given)
        say(f"==> flow run {flow_run.name} of {deployment}")
        started = time.monotonic()
        logs = _Logs(client, flow_run.id)
        state = ""
        while True:
            flow_run = await client.read_flow_run(flow_run.id)
            await logs.tell()
            if flow_run.state_name and flow_run.state_name != state:
                state = flow_run.state_name
                say(f"    {duration(time.monotonic() - started):>8}  {state}")
            watch.look(flow_run.id)
            if flow_run.state and flow_run.state.is_final():
                break
            await asyncio.sleep(_POLL)
        # The last lines leave the pod a moment after its last state.
        await asyncio.sleep(_POLL)
        await logs.tell()
        if flow_run.state.message and not flow_run.state.is_completed():
            say(f"    {flow_run.state.message}")
        await _show_artifacts(client, flow_run.id)
    watch.until_gone(flow_run.id)
    say(f"    {deployment}: {state} after {duration(time.monotonic() - started)}")
    return bool(flow_run.state.is_completed())


async def _create(client: PrefectClient, deployment: str, given: Mapping[str, Any]) -> FlowRun:
    try:
        found = await client.read_deployment_by_name(deployment)
    except ObjectNotFound:
        known = sorted(
            [f"{await _flow_name(client, each.flow_id)}/{each.name}" for each in await client.read_deployments()]
        )
        raise Problem(
            f"There is no deployment '{deployment}'",
            remedy=f"Use FLOW=<flow>/<deployment>; registered are {', '.join(known) or 'none: run `make up` first'}",
        ) from None
    return await client.create_flow_run_from_deployment(found.id, parameters=dict(given), state=Scheduled())


async def _flow_name(client: PrefectClient, flow_id: UUID) -> str:
    return (await client.read_flow(flow_id)).name


class _Logs:
    """A run's log lines, each told once, in the order of their time."""

    def __init__(self, client: PrefectClient, flow_run: UUID) -> None:
        self._client = client
        self._run = LogFilterFlowRunId(any_=[flow_run])
        self._since = datetime.now(UTC) - _LATE
        self._told: set[UUID] = set()

    async def tell(self) -> None:
        # Pods send their lines in batches, so a line may arrive after younger ones of another pod.
        chosen = LogFilter(flow_run_id=self._run, timestamp=LogFilterTimestamp(after_=self._since))
        offset = 0
        while page := await self._client.read_logs(chosen, limit=_PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC):
            for entry in page:
                if entry.id not in self._told:
                    say(f"    {entry.timestamp.strftime('%H:%M:%S')}  {entry.message}")
                    self._told.add(entry.id)
                    self._since = max(self._since, entry.timestamp - _LATE)
            offset += len(page)


async def _show_artifacts(client: PrefectClient, flow_run: UUID) -> None:
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
    for artifact in await client.read_artifacts(artifact_filter=chosen):
        if artifact.key is None:  # where a result is stored; nobody asked for that
            continue
        print(f"\n{artifact.key}: {artifact.description or ''}")
        print(artifact.data if isinstance(artifact.data, str) else json.dumps(artifact.data, indent=2))


class _DaskWatch:
    """What kubectl shows of the run's Dask cluster, told whenever it changes."""

    def __init__(self, namespace: str, environment: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._environment = environment
        self._told = ""

    def look(self, flow_run: UUID) -> bool:
        """Tell what there is if that has changed, and return whether there is anything."""
        chosen = ["--selector", f"{labels.FLOW_RUN}={flow_run}", "--output", "json"]
        command = ["kubectl", "--namespace", self._namespace, "get", "daskclusters,pods", *chosen]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return True
        items = json.loads(done.stdout)["items"]
        text = _described(items)
        if text != self._told and (items or self._told):
            self._told = text
            say(f"              {text}")
        return bool(items)

    def until_gone(self, flow_run: UUID) -> None:
        deadline = time.monotonic() + _GONE
        while self.look(flow_run):
            if time.monotonic() > deadline:
                raise Problem(
                    f"The Dask cluster of run {flow_run} is still there {duration(_GONE)} after its end",
                    remedy=f"See `kubectl --namespace {self._namespace} describe daskclusters` for what holds it",
                )
            time.sleep(_POLL)


def _described(items: Sequence[Mapping[str, Any]]) -> str:
    if not items:
        return "Dask cluster: gone"
    clusters = [item["metadata"]["name"] for item in items if item["kind"] == "DaskCluster"]
    pods = Counter(
        (item["metadata"]["labels"].get("dask.org/component", "pod"), item["status"].get("phase", "Pending"))
        for item in items
        if item["kind"] == "Pod"
    )
    parts = [f"{count} {component} {phase}" for (component, phase), count in sorted(pods.items())]
    return f"Dask cluster {', '.join(clusters) or '(deleted)'}: {', '.join(parts) or 'no pods yet'}"
