"""A real Kubernetes on this machine, as plain processes."""

from tools.cluster.cluster import Access, ComponentStatus, LocalCluster
from tools.cluster.layout import Layout

__all__ = ["Access", "ComponentStatus", "Layout", "LocalCluster"]
