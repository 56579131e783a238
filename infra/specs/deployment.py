"""What a deployment is: plain, frozen, complete. No Pulumi, no Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.specs.automation import AutomationSpec

CollisionStrategy = Literal["ENQUEUE", "CANCEL_NEW"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a deployment runs by itself. Exactly one of cron, interval and rrule is set.

    Attributes:
        slug: its name within the deployment.
        cron: a cron expression.
        interval: seconds.
        rrule: an RFC 5545 recurrence rule.
        timezone: IANA name.
        anchor_date: ISO 8601 in UTC, for an interval; Prefect's clock at registration when unset.
        day_or: whether a cron expression's day of month and day of week are joined by or.
        active: None leaves it to whoever pauses and resumes it; a new one is active.
        parameters: override those of the deployment.
        replaces: slug that it had before, so that one paused by hand stays paused under its new name.

    """

    slug: str
    cron: str | None = None
    interval: float | None = None
    rrule: str | None = None
    timezone: str = "UTC"
    anchor_date: str | None = None
    day_or: bool = True
    active: bool | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    replaces: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeploymentSpec:
    """A Prefect deployment.

    Attributes:
        flow_name: of the flow it belongs to.
        name: its own; both together are its key.
        entrypoint: where the flow pod finds the flow function.
        description: shown in Prefect's UI.
        version: None leaves it alone: no code hash is written that nobody declared.
        tags: put on every run.
        parameters: given to every run.
        parameter_schema: of the flow function.
        enforce_parameter_schema: whether Prefect refuses parameters that do not fit.
        schedules: by slug.
        concurrency_limit: runs at the same time; none when unset.
        collision_strategy: what becomes of a run beyond the limit.
        grace_period_seconds: that a run may take to start before its slot is taken back.
        paused: None leaves it to whoever pauses and resumes it.
        work_pool_name: None for the stack's own.
        work_queue_name: within the pool.
        job_variables: override the defaults of the pool's template.
        pull_steps: what a run does to get the code; nothing by default, for it is in the image.
        triggers: automations that run it; objects of their own in Prefect.
        secret_fields: names of fields above that hold a value from the environment.
        location: `<file>:<line>` where it is declared, for messages; not compared.

    """

    flow_name: str
    name: str
    entrypoint: str
    description: str | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameter_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    enforce_parameter_schema: bool = True
    schedules: tuple[Schedule, ...] = ()
    concurrency_limit: int | None = None
    collision_strategy: CollisionStrategy | None = None
    grace_period_seconds: int | None = None
    paused: bool | None = None
    work_pool_name: str | None = None
    work_queue_name: str = "default"
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    pull_steps: tuple[Mapping[str, Any], ...] = ()
    triggers: tuple[AutomationSpec, ...] = ()
    secret_fields: frozenset[str] = frozenset()
    location: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """`<flow>/<deployment>`, as Prefect names it."""
        return f"{self.flow_name}/{self.name}"
