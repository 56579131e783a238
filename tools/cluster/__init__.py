"""A Kubernetes cluster on this machine, made of plain processes."""

from tools.cluster.access import Access
from tools.cluster.cluster import LocalCluster
from tools.cluster.layout import Layout
from tools.cluster.network import Network
from tools.cluster.supervise import ComponentStatus

__all__ = ["Access", "ComponentStatus", "Layout", "LocalCluster", "Network"]
