"""Which pods Prometheus scrapes: specs of PodMonitors and ServiceMonitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ephemeral_dask.contract import labels
from infra import naming
from infra.settings import Settings

_INTERVAL: Final = "30s"
_TIMEOUT: Final = "25s"
"""The reaper asks two APIs for its page, each for ten seconds at most."""

_RUN_LABELS: Final = ["dask.org/cluster-name", labels.FLOW, labels.DEPLOYMENT]
"""Labels of Dask pods that their series get, as `dask_org_cluster_name` and so on."""


def pod_monitors(settings: Settings) -> Mapping[str, Any]:
    """Return name -> spec."""
    return {
        naming.REAPER: _spec(settings.namespace, naming.selector(naming.REAPER), _endpoint("health")),
        "dask-scheduler": _dask(settings, "scheduler", "http-metrics"),
        "dask-worker": _dask(settings, "worker", "http-dashboard"),
    }


def service_monitors(settings: Settings) -> Mapping[str, Any]:
    """Return name -> spec."""
    secret = settings.monitoring.server_secret
    if secret is None:
        return {}
    login = {key: {"name": secret, "key": key} for key in ("username", "password")}
    endpoint = {**_endpoint("http"), "path": "/api/metrics", "basicAuth": login}
    return {
        naming.SERVER: {
            "namespaceSelector": {"matchNames": [settings.namespace]},
            "selector": {"matchLabels": dict(naming.selector(naming.SERVER))},
            "endpoints": [endpoint],
        }
    }


def _dask(settings: Settings, component: str, port: str) -> dict[str, Any]:
    selector = {labels.COMPONENT: labels.DASK_POD, "dask.org/component": component}
    return {**_spec(settings.namespaces.runs, selector, _endpoint(port)), "podTargetLabels": _RUN_LABELS}


def _spec(namespace: str, selector: Mapping[str, str], endpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchNames": [namespace]},
        "selector": {"matchLabels": dict(selector)},
        "podMetricsEndpoints": [endpoint],
    }


def _endpoint(port: str) -> dict[str, Any]:
    return {"port": port, "path": "/metrics", "interval": _INTERVAL, "scrapeTimeout": _TIMEOUT}
