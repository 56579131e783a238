"""A Kubernetes cluster of kind in the Docker of this machine, with a registry and a builder beside it."""

from tools.kind.cluster import KindCluster

__all__ = ["KindCluster"]
