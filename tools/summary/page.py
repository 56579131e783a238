"""What the summary says, as data: the plan sorted by what a reviewer asks about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tools.summary import capacity, completion, moments
from tools.summary.differences import ABSENT, Difference, between, secrets
from tools.summary.events import GUARDS, KUBERNETES, PREFECT, SECRET, UNKNOWN, Fields, Plan, Step

_IMAGES: Final = ("docker-build:index:Image", "docker:index/image:Image")

_NOISE: Final = {"reach", "owner"}
"""Fields of Prefect resources that say where and whose the object is, not what it is."""

_PLUMBING: Final = (
    "apiVersion",
    "kind",
    "metadata.labels[app.kubernetes.io/managed-by]",
    "metadata.annotations[pulumi.",
)
"""Fields of Kubernetes objects that Pulumi fills in."""

_UNTOLD: Final = ("name", "flow_name", "type", "parameter_schema", "enforce_parameter_schema", "base_job_template")
"""Fields of a new Prefect object that would tell a reviewer nothing."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One field that changes.

    Attributes:
        difference: the field.
        outside: someone edited it outside Pulumi, and it is put back.

    """

    difference: Difference
    outside: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that changes.

    Attributes:
        operation: see `Step`.
        kind: such as `deployment` or `ConfigMap`.
        name: as people know it, such as `digits/search` or `flows/prefect-worker`.
        rows: fields, none for a resource that goes.
        hidden: paths of secrets: whether they change, the engine does not tell.
        vanished: it was deleted outside Pulumi and is made again.
        times: schedule -> its next run times, for deployments whose schedules change.

    """

    operation: str
    kind: str
    name: str
    rows: tuple[Row, ...]
    hidden: tuple[str, ...] = ()
    vanished: bool = False
    times: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Load:
    """Worst case of one deployment before and after; None where it does not exist or cannot be told."""

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
        quota: that applies after.
        platform: cores and bytes that the stack's own pods request.
        ceiling: workers that a run can get at most, whatever it asks.

    """

    loads: tuple[Load, ...]
    old: capacity.Total | None
    new: capacity.Total | None
    quota: capacity.Quota | None
    platform: tuple[float, int]
    ceiling: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that the summary says.

    Attributes:
        counts: operation -> resources.
        images: image resources.
        prefect: Prefect objects.
        kubernetes: Kubernetes objects.
        others: whatever else.
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


def build(plan: Plan, *, templates: Mapping[str, Fields], now: datetime, platform: tuple[float, int] = (0, 0)) -> Page:
    """Sort a plan.

    Args:
        plan: of a preview.
        templates: work pool -> its base job template as the settings make it. While an image is yet to be built, the
            engine does not know any part of the template; this one tells all but the image.
        now: from which the next run times are told.
        platform: cores and bytes that the stack's own pods request; they count against a quota.

    """
    steps = completion.complete(plan.steps, templates)
    changing = [_change(step, now) for step in steps if step.operation != "same"]
    groups: dict[str, list[Change]] = {"images": [], "prefect": [], "kubernetes": [], "others": []}
    for step, change in zip([step for step in steps if step.operation != "same"], changing, strict=True):
        groups[_group(step.type)].append(change)
    return Page(
        counts=Counter(step.operation for step in steps),
        capacity=_capacity(steps, platform),
        warnings=plan.warnings,
        **{name: tuple(found) for name, found in groups.items()},
    )


def _group(kind: str) -> str:
    if kind.startswith(PREFECT):
        return "prefect"
    if kind in _IMAGES:
        return "images"
    return "kubernetes" if kind.startswith((KUBERNETES, GUARDS)) else "others"


def _is(step: Step, noun: str) -> bool:
    return step.type == f"{PREFECT}{noun}"


def _change(step: Step, now: datetime) -> Change:
    old, new = _compared(step, step.old), _compared(step, step.new)
    rows = []
    if step.new is not None:
        edited = {item.path for item in between(_compared(step, step.recorded), old)} if step.recorded else set()
        found = between(old if step.old is not None else ABSENT, new)
        rows = [Row(difference=item, outside=item.path in edited) for item in found if _worth_telling(step, item)]
    hidden = secrets(new if step.new is not None else {})
    return Change(
        operation=step.operation,
        kind=_kind(step.type),
        name=_name(step),
        rows=tuple(rows),
        hidden=tuple(hidden),
        vanished=step.vanished,
        times=_times(step, rows, now) if _is(step, "Deployment") else {},
    )


def _compared(step: Step, inputs: Fields | None) -> Fields:
    fields = inputs or {}
    if step.type.startswith(PREFECT):
        return {name: value for name, value in fields.items() if name not in _NOISE}
    if step.type == f"{KUBERNETES}core/v1:Secret":
        # Whoever wrote a plain value here did not mean to publish it.
        return {
            name: dict.fromkeys(value, SECRET)
            if name in ("data", "stringData") and isinstance(value, Mapping)
            else value
            for name, value in fields.items()
        }
    return fields


def _worth_telling(step: Step, item: Difference) -> bool:
    if step.type.startswith(KUBERNETES):
        return not item.path.startswith(_PLUMBING)
    if step.old is not None:
        return True
    # Of a new object: not what the title says, what follows from the code, or what would be so without a word.
    return item.new not in ([], {}, None) and not item.path.startswith(_UNTOLD)


def _kind(kind: str) -> str:
    word = kind.rpartition(":")[2].rpartition("/")[2]
    if not kind.startswith(PREFECT):
        return word
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in word).strip()


def _name(step: Step) -> str:
    inputs = step.inputs
    if step.type.startswith(PREFECT):
        parts = [inputs.get("flow_name"), inputs.get("name")]
        return "/".join(str(part) for part in parts if part and part != UNKNOWN) or step.name
    metadata = inputs.get("metadata") or {}
    parts = [metadata.get("namespace"), metadata.get("name")] if isinstance(metadata, Mapping) else []
    return "/".join(str(part) for part in parts if part and part != UNKNOWN) or step.name


def _times(step: Step, rows: Iterable[Row], now: datetime) -> Mapping[str, str]:
    touched = any(row.difference.path.startswith("schedules") for row in rows)
    schedules = (step.new or {}).get("schedules")
    if not touched or not isinstance(schedules, Mapping):
        return {}
    paused = (step.new or {}).get("paused") is True
    told = {}
    for slug, schedule in schedules.items():
        if not isinstance(schedule, Mapping):
            continue
        when = moments.describe(schedule, now)
        asleep = "the deployment is paused" if paused else "paused" if schedule.get("active") is False else ""
        told[str(slug)] = f"{asleep}; when it is resumed: {when}" if asleep else when
    return told


def _capacity(steps: list[Step], platform: tuple[float, int]) -> Capacity | None:
    pools = [step for step in steps if _is(step, "WorkPool")]
    before, after = _pools(step.old for step in pools), _pools(step.new for step in pools)
    if not after:
        return None
    loads = [
        Load(
            name=_name(step),
            old=_demand(step.old, before),
            new=_demand(step.new, after),
            declared=step.new is not None,
        )
        for step in steps
        if _is(step, "Deployment")
    ]
    quotas = [step.new for step in steps if step.type == f"{KUBERNETES}core/v1:ResourceQuota" and step.new]
    return Capacity(
        loads=tuple(loads),
        old=capacity.total(
            [load.old for load in loads if load.old], {name: each.limit for name, each in before.items()}
        ),
        new=capacity.total(
            [load.new for load in loads if load.new], {name: each.limit for name, each in after.items()}
        ),
        quota=capacity.quota(quotas),
        platform=platform,
        ceiling=max(each.ceiling for each in after.values()),
    )


def _pools(states: Iterable[Fields | None]) -> dict[str, capacity.Pool]:
    found = {str(state["name"]): capacity.pool(state) for state in states if state is not None}
    return {name: each for name, each in found.items() if each is not None}


def _demand(deployment: Fields | None, pools: Mapping[str, capacity.Pool]) -> capacity.Demand | None:
    given = pools.get(str((deployment or {}).get("work_pool_name")))
    return capacity.demand(deployment, given) if deployment is not None and given is not None else None
