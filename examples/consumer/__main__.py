"""The namespace of a team, whose pods know the address of the Prefect API of the platform and may call it."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
from platform_stack import Platform

config = pulumi.Config()
platform = Platform.of(config.require("platform"))

namespace = k8s.core.v1.Namespace("team", metadata={"name": config.get("namespace") or "consumer"})
team = namespace.metadata.name

k8s.networking.v1.NetworkPolicy(
    "reach-prefect",
    metadata={
        "name": team.apply(lambda name: f"{name}-reaches-prefect"),
        "namespace": platform.apply(lambda p: p.namespace),
    },
    spec={
        "pod_selector": {"match_labels": platform.apply(lambda p: p.prefect_server_labels)},
        "policy_types": ["Ingress"],
        "ingress": [
            {
                "from_": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": team}}}],
                "ports": [{"protocol": "TCP", "port": platform.apply(lambda p: p.prefect_server_port)}],
            }
        ],
    },
)

k8s.core.v1.ConfigMap(
    "prefect",
    metadata={"name": "prefect", "namespace": team},
    data={
        "PREFECT_API_URL": platform.apply(lambda p: p.prefect_api_url),
        "DEPLOYMENTS": platform.apply(lambda p: "\n".join(sorted(p.deployments))),
    },
)
