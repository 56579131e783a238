"""Programs that this project builds on machines that lack them: Pulumi, its plugins, Kubernetes."""

from tools.toolchain.build import ensure
from tools.toolchain.modules import CLUSTER, KIND, LINT, NETWORKS, PULUMI
from tools.toolchain.preflight import preflight

__all__ = ["CLUSTER", "KIND", "LINT", "NETWORKS", "PULUMI", "ensure", "preflight"]
