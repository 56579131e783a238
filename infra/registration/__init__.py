"""Prefect objects as Pulumi resources, with plan, drift, adoption and prune.

This package is also loaded by the dynamic provider's process, which starts once per `pulumi up`, so it imports
fast and does nothing at import. The dotted paths of the providers are part of every stack's state: one that moves
leaves state behind that nobody can read.
"""

from infra.registration.automation import Automation, AutomationArgs
from infra.registration.concurrency_limit import GlobalConcurrencyLimit, GlobalConcurrencyLimitArgs
from infra.registration.deployment import Deployment, DeploymentArgs
from infra.registration.endpoint import ApiEndpoint, PortForward, Url
from infra.registration.variable import Variable, VariableArgs
from infra.registration.work_pool import WorkPool, WorkPoolArgs
from infra.registration.work_queue import WorkQueue, WorkQueueArgs

__all__ = [
    "ApiEndpoint",
    "Automation",
    "AutomationArgs",
    "Deployment",
    "DeploymentArgs",
    "GlobalConcurrencyLimit",
    "GlobalConcurrencyLimitArgs",
    "PortForward",
    "Url",
    "Variable",
    "VariableArgs",
    "WorkPool",
    "WorkPoolArgs",
    "WorkQueue",
    "WorkQueueArgs",
]
