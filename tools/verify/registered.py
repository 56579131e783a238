"""The verification flow as Prefect stores it: flow, deployment and run, which are deleted together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from ephemeral_dask.contract import verification

JOB_TTL: Final = 15
"""Seconds for which the run's Job stays: the reaper reads twice within ten of them how a pod ended."""

_TAG: Final = "verification-of-stack"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A run that was created.

    Attributes:
        flow: its id.
        deployment: its id.
        run: as it was created.

    """

    flow: UUID
    deployment: UUID
    run: FlowRun


def register(client: SyncPrefectClient, *, pool: str, stack: str) -> Registered:
    """Register the flow with a deployment of its own in a work pool, and create a run.

    Raises:
        httpx.HTTPStatusError: Prefect refuses; nothing is left then.

    """
    flow = client.create_flow_from_name(verification.FLOW)
    deployment = None
    try:
        deployment = client.create_deployment(
            flow,
            f"{stack}-{uuid4().hex[:8]}",
            entrypoint=verification.ENTRYPOINT,
            work_pool_name=pool,
            job_variables={"finished_job_ttl": JOB_TTL},
            description="Of `make verify`, which deletes it when the run has completed.",
            tags=[_tag(stack)],
            parameter_openapi_schema={"type": "object", "properties": {}},
        )
        run = client.create_flow_run_from_deployment(deployment, state=Scheduled())
    except httpx.HTTPStatusError:
        _delete(client, flow, deployment, None)
        raise
    return Registered(flow=flow, deployment=deployment, run=run)


def delete(client: SyncPrefectClient, registered: Registered) -> None:
    """Delete run, deployment and flow, and with them task runs, log and artifacts."""
    _delete(client, registered.flow, registered.deployment, registered.run.id)


def delete_earlier(client: SyncPrefectClient, stack: str) -> None:
    """Delete what earlier verifications of a stack have left: runs that did not complete, and those of a killed one."""
    for deployment in client.read_deployments(flow_filter=_named()):
        if _tag(stack) not in deployment.tags:
            continue
        own = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        runs = client.read_flow_runs(deployment_filter=own)
        if any(run.state is None or not run.state.is_final() for run in runs):
            continue  # another verification is under way
        for run in runs:
            _delete_run(client, run.id)
        _delete(client, deployment.flow_id, deployment.id, None)


def _delete(client: SyncPrefectClient, flow: UUID, deployment: UUID | None, run: UUID | None) -> None:
    if run is not None:
        _delete_run(client, run)
    if deployment is not None:
        with suppress(ObjectNotFound):
            client.delete_deployment(deployment)
    # Another work pool or another stack may be using the flow.
    if not client.read_deployments(flow_filter=_named()) and not client.read_flow_runs(flow_filter=_named()):
        with suppress(ObjectNotFound):
            client.delete_flow(flow)


def _delete_run(client: SyncPrefectClient, run: UUID) -> None:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    for artifact in client.read_artifacts(artifact_filter=of_run):
        with suppress(ObjectNotFound):
            client.delete_artifact(artifact.id)
    with suppress(ObjectNotFound):
        client.delete_flow_run(run)


def _named() -> Any:
    return FlowFilter(name=FlowFilterName(any_=[verification.FLOW]))


def _tag(stack: str) -> str:
    return f"{_TAG}:{stack}"
