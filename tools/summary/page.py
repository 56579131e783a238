"""What the summary says, as data: the plan sorted by what a reviewer asks about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tools.summary import capacity, completion
from tools.summary.changes import Change, change, is_internal, title
from tools.summary.events import GUARDS, KUBERNETES, PREFECT, Fields, Plan, Step

_IMAGES: Final = ("docker-build:index:Image", "docker:index/image:Image")


@dataclass(frozen=True, kw_only=True)
class Load:
    """Worst case of one deployment before and after; None where it does not exist or cannot be computed."""

    name: str
    old: capacity.Demand | None
    new: capacity.Demand | None
    declared: bool
    """Whether the deployment exists after the update."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Worst case of Dask capacity, before and after.

    Attributes:
        loads: every deployment.
        old: total before; None where something has no limit.
        new: total after; the same.
        quota: of runs after.
        ceiling: workers that a run can get at most, whatever it asks for.

    """

    loads: tuple[Load, ...]
    old: capacity.Total | None
    new: capacity.Total | None
    quota: capacity.Quota | None
    ceiling: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the summary says.

    Attributes:
        counts: operation -> resources.
        images: image resources.
        prefect: Prefect objects.
        kubernetes: Kubernetes objects.
        others: everything else.
        capacity: None where the work pool is not known.
        warnings: of the program and the provider.

    """

    counts: Mapping[str, int]
    images: tuple[Change, ...]
    prefect: tuple[Change, ...]
    kubernetes: tuple[Change, ...]
    others: tuple[Change, ...]
    capacity: Capacity | None
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """Resources that change."""
        return sum(number for operation, number in self.counts.items() if operation != "same")


def build(plan: Plan, *, templates: Mapping[str, Fields], now: datetime) -> Page:
    """Sort a plan.

    Args:
        plan: of a preview.
        templates: work pool -> its base job template as the settings make it. While an image is yet to be built, the
            engine does not know any part of the template; this one has all but the image.
        now: from which the next run times are computed.

    """
    steps = completion.complete(plan.steps, templates)
    shown = [step for step in steps if not is_internal(step)]
    groups: dict[str, list[Change]] = {"images": [], "prefect": [], "kubernetes": [], "others": []}
    for step in shown:
        if step.operation != "same":
            groups[_group(step.type)].append(change(step, now))
    return Page(
        counts=Counter(step.operation for step in shown),
        capacity=_capacity(steps),
        warnings=plan.warnings,
        **{group: tuple(changes) for group, changes in groups.items()},
    )


def _group(kind: str) -> str:
    if kind.startswith(PREFECT):
        return "prefect"
    if kind in _IMAGES:
        return "images"
    return "kubernetes" if kind.startswith((KUBERNETES, GUARDS)) else "others"


def _capacity(steps: list[Step]) -> Capacity | None:
    pools = [step for step in steps if step.type == f"{PREFECT}WorkPool"]
    before, after = _pools(step.old for step in pools), _pools(step.new for step in pools)
    if not after:
        return None
    loads = [
        Load(
            name=title(step),
            old=_demand(step.old, before),
            new=_demand(step.new, after),
            declared=step.new is not None,
        )
        for step in steps
        if step.type == f"{PREFECT}Deployment"
    ]
    quotas = [step.new for step in steps if step.type == f"{KUBERNETES}core/v1:ResourceQuota" and step.new]
    return Capacity(
        loads=tuple(loads),
        old=capacity.total([load.old for load in loads if load.old], {key: pool.limit for key, pool in before.items()}),
        new=capacity.total([load.new for load in loads if load.new], {key: pool.limit for key, pool in after.items()}),
        quota=capacity.quota(quotas),
        ceiling=max(pool.ceiling for pool in after.values()),
    )


def _pools(states: Iterable[Fields | None]) -> dict[str, capacity.Pool]:
    pools = {str(state["name"]): capacity.pool(state) for state in states if state is not None}
    return {key: pool for key, pool in pools.items() if pool is not None}


def _demand(deployment: Fields | None, pools: Mapping[str, capacity.Pool]) -> capacity.Demand | None:
    pool = pools.get(str((deployment or {}).get("work_pool_name")))
    return capacity.demand(deployment, pool) if deployment is not None and pool is not None else None
