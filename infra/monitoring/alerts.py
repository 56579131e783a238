"""What Prometheus reports: the spec of a PrometheusRule.

Each alert has a section in docs/operate.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from infra.monitoring.volumes import free_share
from infra.settings import Settings

GROUP: Final = "ephemeral-dask"
PAGE: Final = "docs/operate.md"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert.

    Attributes:
        name: in CamelCase, after the prefix `EphemeralDask`.
        expr: in PromQL; each of its results is an alert.
        lasts: for how long it must hold.
        severity: `critical` if runs do not start or end as they should, else `warning`.
        summary: one line.
        description: what it means, with the values.

    """

    name: str
    expr: str
    lasts: str
    severity: Literal["warning", "critical"]
    summary: str
    description: str


def prometheus_rule(settings: Settings) -> dict[str, Any]:
    """Return the spec of the PrometheusRule."""
    runbooks = settings.monitoring.runbooks
    rules = [_rule(alert, runbooks) for alert in alerts(settings)]
    return {"groups": [{"name": f"{GROUP}-{settings.namespace}", "rules": rules}]}


def _rule(alert: Alert, runbooks: str | None) -> dict[str, Any]:
    name = f"EphemeralDask{alert.name}"
    annotations = {"summary": alert.summary, "description": alert.description, "runbook": f"{PAGE}#{name.lower()}"}
    if runbooks is not None:
        annotations["runbook_url"] = f"{runbooks}#{name.lower()}"
    return {
        "alert": name,
        "expr": alert.expr,
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": annotations,
    }


def alerts(settings: Settings) -> Iterator[Alert]:
    """Yield the alerts of a stack."""
    here = f'namespace="{settings.namespace}"'
    pool = "work pool {{ $labels.work_pool }}"
    yield Alert(
        name="RunStuckPending",
        expr=(
            f"ephemeral_dask_oldest_pending_flow_run_seconds{{{here}}}"
            f" > on (namespace, work_pool) 0.5 * ephemeral_dask_pending_timeout_seconds{{{here}}}"
        ),
        lasts="1m",
        severity="warning",
        summary=f"A flow run of {pool} has been Pending for {{{{ $value | humanizeDuration }}}}",
        description="Its pod does not start. After flowRun.pendingTimeout the run is Crashed, with the cause.",
    )
    yield Alert(
        name="RunsCrash",
        expr=_crash_rate(here),
        lasts="5m",
        severity="warning",
        summary=f"{{{{ $value | humanizePercentage }}}} of the flow runs of {pool} crashed in the last hour",
        description="At least 3 runs crashed, and more than a tenth of all that ended. Their messages have the cause.",
    )
    yield Alert(
        name="ClusterOutlivesRun",
        expr=f'ephemeral_dask_clusters{{{here},state="over"}} > 0',
        lasts="10m",
        severity="warning",
        summary="{{ $value }} Dask cluster(s) still exist after the end of their runs",
        description="Their pods take resources for nothing. The reaper deletes such a cluster within a minute.",
    )
    yield Alert(
        name="OperatorSilent",
        expr=f'ephemeral_dask_clusters{{{here},state="unhandled"}} > 0',
        lasts="2m",
        severity="critical",
        summary="{{ $value }} Dask cluster(s) are ignored by the Dask operator",
        description="Runs wait for Dask clusters that do not start, and fail after dask.startTimeout.",
    )
    yield Alert(
        name="RunsQueue",
        expr=(
            f"ephemeral_dask_oldest_due_flow_run_seconds{{{here}}} > 300"
            f" unless on (namespace, work_pool) ephemeral_dask_work_pool_paused{{{here}}} == 1"
        ),
        lasts="5m",
        severity="warning",
        summary=f"A flow run of {pool} has been due for {{{{ $value | humanizeDuration }}}}",
        description="No worker has taken it: the worker is away, or a concurrency limit or quota is reached.",
    )
    yield Alert(
        name="WorkerSilent",
        expr=f"time() - ephemeral_dask_worker_heartbeat_timestamp_seconds{{{here}}} > 180",
        lasts="2m",
        severity="critical",
        summary=f"No worker of {pool} has sent a heartbeat for 3 minutes",
        description="No run of the work pool starts until its worker is back. Runs that have started go on.",
    )
    if free := free_share(settings):
        yield Alert(
            name="VolumeFilling",
            expr=f"({free}) < 0.15",
            lasts="15m",
            severity="warning",
            summary="{{ $value | humanizePercentage }} of volume {{ $labels.persistentvolumeclaim }} is free",
            description="Without space Prefect's database takes no runs, and task results are not stored.",
        )
    yield Alert(
        name="ReaperBlind",
        expr=_blind(here),
        lasts="2m",
        severity="critical",
        summary="The reaper has not compared runs with the {{ $labels.api }} API for 5 minutes",
        description="Runs whose pods are gone stay Running, and Dask clusters of killed runs stay until they are idle.",
    )


def _crash_rate(here: str) -> str:
    """Return an expression for more than 2 crashes, because increase() extrapolates to no whole number."""
    by = "sum by (namespace, work_pool)"
    ended = f"increase(ephemeral_dask_flow_runs_ended_total{{{here}}}[1h])"
    crashed = f'increase(ephemeral_dask_flow_runs_ended_total{{{here},state="crashed"}}[1h])'
    return f"{by} ({crashed}) / {by} ({ended}) > 0.1 and {by} ({crashed}) > 2.5"


def _blind(here: str) -> str:
    """Return an expression that also holds where the reaper, or the scrape of it, is gone."""
    metric = "ephemeral_dask_last_check_timestamp_seconds"
    absent = (f'absent({metric}{{{here},api="{api}"}})' for api in ("kubernetes", "prefect"))
    return " or ".join([f"time() - {metric}{{{here}}} > 300", *absent])
