"""What a stack gives Prometheus and Grafana."""

from __future__ import annotations

from infra.components.monitoring import Monitoring, MonitoringArgs
from infra.monitoring.alerts import prometheus_rule
from infra.monitoring.dashboard import dashboard
from infra.monitoring.monitors import pod_monitors, service_monitors
from infra.settings import Settings
from infra.wiring.foundation import Foundation


def monitoring(settings: Settings, base: Foundation) -> None:
    """Register the objects that the stack switches on. No run needs them."""
    section = settings.monitoring
    if not (section.kinds or section.dashboard):
        return
    objects = {
        "PodMonitor": pod_monitors(settings) if section.monitors else {},
        "ServiceMonitor": service_monitors(settings),
        "PrometheusRule": {"alerts": prometheus_rule(settings)} if section.alerts else {},
    }
    Monitoring(
        "monitoring",
        MonitoringArgs(
            namespace=base.namespaces.platform,
            labels=section.labels,
            objects=objects,
            dashboard=dashboard(settings) if section.dashboard else None,
        ),
        base.checked,
    )
