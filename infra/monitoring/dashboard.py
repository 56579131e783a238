"""What Grafana shows: a dashboard in its JSON model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.monitoring.volumes import free_share
from infra.settings import Settings

_COLUMNS: Final = 24
_WIDTH: Final = 8
_HEIGHT: Final = 8
_SCHEMA: Final = 39
"""Version of the JSON model, that of Grafana 11, which newer releases read as well."""

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A graph.

    Attributes:
        title: of the panel.
        description: what it shows.
        unit: as Grafana names it.
        queries: legend -> expression in PromQL.

    """

    title: str
    description: str
    unit: str = "short"
    queries: Mapping[str, str]


def dashboard(settings: Settings) -> dict[str, Any]:
    """Return the dashboard of a stack."""
    namespace = settings.namespace
    panels: list[dict[str, Any]] = []
    top = 0
    for row, graphs in rows(settings).items():
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": row, "collapsed": False, "gridPos": place})
        top += 1
        for number, panel in enumerate(graphs):
            line, column = divmod(number * _WIDTH, _COLUMNS)
            place = {"x": column, "y": top + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_graph(panel)})
        top += -(-len(graphs) * _WIDTH // _COLUMNS) * _HEIGHT
    return {
        "uid": hashlib.sha256(f"ephemeral-dask/{namespace}".encode()).hexdigest()[:16],
        "title": f"Prefect and Dask: {namespace}",
        "tags": ["ephemeral-dask"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": list(_variables(namespace))},
        "panels": panels,
    }


def _variables(namespace: str) -> Iterator[dict[str, Any]]:
    query = f'label_values(ephemeral_dask_pending_timeout_seconds{{namespace="{namespace}"}}, work_pool)'
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    yield {
        "name": "work_pool",
        "label": "Work pool",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "work_pool"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _graph(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
            for number, (legend, expr) in enumerate(panel.queries.items())
        ],
    }


def rows(settings: Settings) -> Mapping[str, tuple[Panel, ...]]:
    """Return title -> panels of each row."""
    here = f'namespace="{settings.namespace}"'
    runs = f'namespace="{settings.namespaces.runs}"'
    free = free_share(settings)
    return {
        "Flow runs": _runs(f'{here},work_pool=~"$work_pool"'),
        "Dask": _dask(here, runs),
        "Platform": (*_platform(here), *_volumes(free)),
    }


def _runs(pool: str) -> tuple[Panel, ...]:
    def quantile(share: float) -> str:
        rate = f"rate(ephemeral_dask_flow_run_queue_seconds_bucket{{{pool}}}[$__rate_interval])"
        return f"histogram_quantile({share}, sum by (le) ({rate}))"

    return (
        Panel(
            title="Live runs",
            description="Runs that have a process or should have one, by state.",
            queries={"{{state}}": f"sum by (state) (ephemeral_dask_flow_runs{{{pool}}})"},
        ),
        Panel(
            title="Ended runs",
            description="Runs that have ended, by final state.",
            queries={
                "{{state}}": (
                    f"sum by (state) (increase(ephemeral_dask_flow_runs_ended_total{{{pool}}}[$__rate_interval]))"
                )
            },
        ),
        Panel(
            title="Crashes by cause",
            description="Runs that the reaper has set to Crashed within an hour, by cause.",
            queries={
                "{{cause}}": f"sum by (cause) (increase(ephemeral_dask_flow_runs_crashed_total{{{pool}}}[1h])) > 0"
            },
        ),
        Panel(
            title="Time until Running",
            description="From the scheduled start of a run until it was Running, for half and for 95 % of the runs.",
            unit="s",
            queries={"half": quantile(0.5), "95 %": quantile(0.95)},
        ),
        Panel(
            title="Due runs",
            description="Runs that no worker has taken at their time.",
            queries={"{{work_pool}}": f"ephemeral_dask_due_flow_runs{{{pool}}}"},
        ),
        Panel(
            title="Longest wait",
            description="For how long the first due run has been due, and the oldest Pending run Pending.",
            unit="s",
            queries={
                "due, {{work_pool}}": f"ephemeral_dask_oldest_due_flow_run_seconds{{{pool}}}",
                "Pending, {{work_pool}}": f"ephemeral_dask_oldest_pending_flow_run_seconds{{{pool}}}",
            },
        ),
    )


def _dask(here: str, runs: str) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Dask clusters",
            description="`over` is one whose run has ended, `unhandled` one that the operator has not begun to start.",
            queries={"{{state}}": f"ephemeral_dask_clusters{{{here}}}"},
        ),
        Panel(
            title="Dask pods",
            description="Schedulers and workers that run, or wait for a node.",
            queries={"{{component}}, {{phase}}": f"ephemeral_dask_dask_pods{{{here}}}"},
        ),
        Panel(
            title="Dask workers by state",
            description="As the schedulers of the runs count them.",
            queries={"{{state}}": f"sum by (state) (dask_scheduler_workers{{{runs}}})"},
        ),
        Panel(
            title="Dask tasks by state",
            description="As the schedulers of the runs count them.",
            queries={"{{state}}": f"sum by (state) (dask_scheduler_tasks{{{runs}}})"},
        ),
        Panel(
            title="Memory of workers",
            description="`managed` is task results, `spilled` what was moved to disk.",
            unit="bytes",
            queries={"{{type}}": f"sum by (type) (dask_worker_memory_bytes{{{runs}}})"},
        ),
        Panel(
            title="Bytes between workers",
            description="Task results that workers send to each other.",
            unit="Bps",
            queries={
                "sent": f"sum(rate(dask_worker_transfer_outgoing_bytes_total{{{runs}}}[$__rate_interval]))",
            },
        ),
    )


def _platform(here: str) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Time since the last check",
            description="Of the reaper, by the API that it compares with.",
            unit="s",
            queries={"{{api}}": f"time() - ephemeral_dask_last_check_timestamp_seconds{{{here}}}"},
        ),
        Panel(
            title="Time since the last heartbeat",
            description="Of the Prefect workers of each work pool.",
            unit="s",
            queries={"{{work_pool}}": f"time() - ephemeral_dask_worker_heartbeat_timestamp_seconds{{{here}}}"},
        ),
        Panel(
            title="APIs that answer",
            description="1 if the API answered the reaper at the last scrape, else 0.",
            queries={"{{api}}": f"ephemeral_dask_api_up{{{here}}}"},
        ),
        Panel(
            title="Memory of reaper and server",
            description="Resident memory; the server's only with monitoring.serverSecret.",
            unit="bytes",
            queries={"{{pod}}": f"process_resident_memory_bytes{{{here}}}"},
        ),
    )


def _volumes(free: str) -> tuple[Panel, ...]:
    if not free:
        return ()
    panel = Panel(
        title="Free space of volumes",
        description="Needs the metrics of the kubelets.",
        unit="percentunit",
        queries={"{{persistentvolumeclaim}}": free},
    )
    return (panel,)
