"""Objects for a Prometheus and a Grafana that the cluster already has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from infra.settings.metadata import LabelValues, ObjectName
from infra.settings.types import Model, Url


def _with_pod(value: str) -> str:
    if "{pod}" not in value:
        raise ValueError("must contain {pod}, which becomes the name of a run's pod")
    return value


PodLogs = Annotated[Url, AfterValidator(_with_pod)]
"""Address of the log of a pod."""


class Monitoring(Model):
    """Objects in the platform's namespace for Prometheus, with the Prometheus operator, and for Grafana.

    Name the namespace of Prometheus in `network.metricsClients`, too.
    """

    monitors: bool = False
    """Whether PodMonitors let Prometheus scrape the reaper, Dask schedulers and Dask workers."""
    alerts: bool = False
    """Whether a PrometheusRule has the alerts of docs/operate.md. They need the metrics of the reaper."""
    dashboard: bool = False
    """Whether a ConfigMap with the label `grafana_dashboard` has the dashboard, for Grafana's sidecar."""
    labels: LabelValues = Field(default_factory=dict)
    """Of these objects: those by which Prometheus and Grafana select them, such as `release: prometheus`."""
    server_secret: ObjectName | None = None
    """Existing Secret in the platform's namespace with the keys `username` and `password` of the embedded Prefect
    server, with which Prometheus reads the metrics of that server. Who reads it can start runs."""
    runbooks: Url | None = None
    """Address of docs/operate.md in a browser, to which the alerts link."""

    pod_logs: PodLogs | None = None
    """Address of a pod's log in a browser, where the cluster keeps logs, with {pod} and {namespace} in it: the message
    of a run whose pod has ended has it."""

    @model_validator(mode="after")
    def _the_secret_is_for_a_monitor(self) -> Monitoring:
        if self.server_secret is not None and not self.monitors:
            raise ValueError(
                "serverSecret is set, and monitors is false, so nothing reads it: set monitors, or remove it"
            )
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the Prometheus operator that the objects have."""
        kinds = {
            "PodMonitor": self.monitors,
            "ServiceMonitor": self.server_secret is not None,
            "PrometheusRule": self.alerts,
        }
        return tuple(kind for kind, used in kinds.items() if used)
