"""Prefect objects as Pulumi resources, with plan, drift, adoption and prune.

This package is also loaded by the dynamic provider's process, which starts once per `pulumi up`, so it imports
fast and does nothing at import. The dotted paths of the providers are part of every stack's state: one that moves
leaves state behind that nobody can read.
"""

from infra.registration.deployment import Deployment, DeploymentArgs
from infra.registration.reach import PortForward, Reach, Url
from infra.registration.work_pool import WorkPool, WorkPoolArgs

__all__ = ["Deployment", "DeploymentArgs", "PortForward", "Reach", "Url", "WorkPool", "WorkPoolArgs"]
