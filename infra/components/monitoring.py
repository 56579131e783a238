"""Objects of the Prometheus operator, and the dashboard of Grafana."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, ResourceOptions

from infra import naming
from infra.naming import PROJECT

_VERSION: Final = "monitoring.coreos.com/v1"
_DASHBOARD: Final = "grafana_dashboard"
"""Label by which the sidecar of Grafana's Helm chart finds dashboards."""


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """The objects.

    Attributes:
        namespace: of the objects.
        labels: of the objects, in addition to the project's own.
        objects: kind -> name -> spec.
        dashboard: in the JSON model of Grafana, if the stack has it.

    """

    namespace: Input[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, Mapping[str, Any]]
    dashboard: Mapping[str, Any] | None = None


class Monitoring(ComponentResource):
    """Monitors, alert rules and a dashboard."""

    def __init__(self, name: str, args: MonitoringArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:Monitoring", name, {}, opts)
        child = ResourceOptions(parent=self)
        for kind, specs in args.objects.items():
            for object_name, spec in specs.items():
                k8s.apiextensions.CustomResource(
                    f"{name}-{kind.lower()}-{object_name}",
                    api_version=_VERSION,
                    kind=kind,
                    metadata=_metadata(object_name, args),
                    spec=spec,
                    opts=child,
                )
        if args.dashboard is not None:
            metadata = _metadata("dashboard", args)
            k8s.core.v1.ConfigMap(
                f"{name}-dashboard",
                metadata={**metadata, "labels": {**metadata["labels"], _DASHBOARD: "1"}},
                # Grafana's folder of dashboards has one file per name, of all stacks of the cluster.
                data={f"{PROJECT}-{args.dashboard['uid']}.json": json.dumps(args.dashboard, indent=1)},
                opts=child,
            )
        self.register_outputs({})


def _metadata(name: str, args: MonitoringArgs) -> dict[str, Any]:
    labels = {**args.labels, **naming.labels("monitoring")}
    return {"name": f"{PROJECT}-{name}", "namespace": args.namespace, "labels": labels}
