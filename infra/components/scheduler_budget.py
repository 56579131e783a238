"""The disruption budget of the Dask schedulers of a stack."""

from __future__ import annotations

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, ResourceOptions

from ephemeral_dask.contract import labels
from infra import naming
from infra.naming import PROJECT


class SchedulerBudget(ComponentResource):
    """Lets no scheduler be evicted: a drain of its node waits until the run has ended, which it would fail."""

    def __init__(self, name: str, namespace: Input[str], opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:SchedulerBudget", name, {}, opts)
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-disruption-budget",
            metadata=naming.metadata(naming.SCHEDULERS, namespace),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=0,
                selector=k8s.meta.v1.LabelSelectorArgs(
                    match_labels={labels.COMPONENT: labels.DASK_POD, "dask.org/component": "scheduler"}
                ),
            ),
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})
