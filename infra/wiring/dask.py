"""The Dask side of a stack: operator, reaper and the volume with task results."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import Resource

from infra import job_template, naming
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.dask_reaper import DaskReaper, DaskReaperArgs, RunBounds
from infra.components.result_retention import ResultRetention, ResultRetentionArgs
from infra.components.result_volume import ResultVolume, ResultVolumeArgs
from infra.components.scheduler_budget import SchedulerBudget
from infra.settings import FlowRun, InstallOperator, Settings, VolumeResults, layers
from infra.wiring.foundation import Foundation
from infra.wiring.prefect import PrefectAccess


@dataclass(frozen=True, kw_only=True)
class DaskPlatform:
    """The Dask side of a stack.

    Attributes:
        resources: what must exist before a flow run starts.

    """

    resources: tuple[Resource, ...]


def dask_platform(settings: Settings, base: Foundation, prefect: PrefectAccess) -> DaskPlatform:
    """Register the operator and the result volume, where the stack has its own, and the reaper."""
    resources: list[Resource] = []
    operator = settings.dask.operator
    if isinstance(operator, InstallOperator):
        operator_args = DaskOperatorArgs(
            namespaces=base.namespaces,
            image=base.image.platform,
            settings=operator,
            annotations=settings.identities.operator.annotations,
            pull_secrets=settings.image.pull_secrets,
            ip_family=settings.network.ip_family,
        )
        resources.append(DaskOperator("dask-operator", operator_args, base.checked))
    if isinstance(settings.results, VolumeResults) and not settings.results.existing_claim:
        volume = ResultVolumeArgs(namespace=base.namespaces.runs, settings=settings.results, protect=settings.protect)
        resources.append(ResultVolume("results", volume))
    if isinstance(settings.results, VolumeResults) and settings.results.keep_days is not None:
        retention = ResultRetentionArgs(
            namespace=base.namespaces.runs,
            image=base.image.platform,
            claim=str(job_template.claim(settings.results)),
            days=settings.results.keep_days,
            account=naming.DASK,
        )
        resources.append(ResultRetention("result-retention", retention))
    if settings.dask.scheduler.disruption_budget:
        resources.append(SchedulerBudget("dask-schedulers", base.namespaces.runs))
    reaper = DaskReaperArgs(
        namespaces=base.namespaces,
        image=base.image.platform,
        maximum_lifetime=settings.dask.maximum_lifetime,
        api_url=prefect.early_api_url,
        credential=prefect.created_credential,
        versions=prefect.versions,
        ca=layers.ca_extras(settings.ca_bundle),
        pools={name: _bounds(layers.flow_run(settings, name)) for name in settings.work_pools},
        annotations=settings.identities.reaper.annotations,
        pull_secrets=settings.image.pull_secrets,
        pod_logs=settings.monitoring.pod_logs,
    )
    resources.append(DaskReaper("dask-reaper", reaper))
    return DaskPlatform(resources=tuple(resources))


def _bounds(flow_run: FlowRun) -> RunBounds:
    return RunBounds(pending_timeout=flow_run.pending_timeout, crashed_after=flow_run.crashed_after)
