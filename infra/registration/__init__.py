"""Prefect objects as Pulumi resources, with plan, drift, adoption and deletion.

The dynamic provider's process, which starts once per `pulumi up`, loads this package too, so it imports fast and does
nothing at import. Every stack's state has the dotted paths of the provider classes: never move or rename one.
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
