"""A real Kubernetes on this machine, as plain processes."""

from tools.cluster.cluster import Access, LocalCluster
from tools.cluster.layout import Layout
from tools.cluster.supervise import ComponentStatus

__all__ = ["Access", "ComponentStatus", "Layout", "LocalCluster"]
