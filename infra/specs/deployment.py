"""The specification of a deployment, without Pulumi and Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.specs.automation import AutomationSpec

CollisionStrategy = Literal["ENQUEUE", "CANCEL_NEW"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When Prefect starts runs of a deployment. Exactly one of cron, interval and rrule is set.

    Attributes:
        slug: unique name within the deployment.
        cron: a cron expression.
        interval: seconds.
        rrule: an RFC 5545 recurrence rule.
        timezone: IANA name.
        anchor_date: ISO 8601 in UTC, for an interval; the time of registration if None.
        day_or: whether a cron expression's day of month or day of week is enough (else both must match).
        active: None keeps what a person has set in Prefect; a new schedule is active.
        parameters: override the deployment's.
        replaces: the schedule's previous slug, so that a schedule paused by hand stays paused.

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
        flow_name: name of its flow.
        name: unique within the flow.
        entrypoint: what the flow pod loads, such as `flows.sales.daily`.
        description: shown in Prefect's UI.
        version: None keeps what Prefect has.
        tags: tags of every run.
        parameters: default parameters of every run.
        parameter_schema: JSON schema of the flow's parameters.
        variadic: names of `*args` and `**kwargs`, which the schema requires and a scheduled run may lack.
        enforce_parameter_schema: whether Prefect refuses parameters that do not match the schema.
        schedules: its schedules.
        concurrency_limit: active runs at the same time; no limit if None.
        collision_strategy: what happens to a run beyond the limit.
        grace_period_seconds: seconds that a run may take to start before it loses its slot.
        paused: None keeps what a person has set in Prefect.
        work_pool_name: None for the stack's first work pool.
        work_queue_name: queue within the pool.
        job_variables: override the defaults of the pool's template.
        pull_steps: steps that fetch the code; none by default, because the image contains it.
        triggers: automations that run it, which are separate objects in Prefect.
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
    variadic: tuple[str, ...] = ()
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
        """`<flow>/<deployment>`, as Prefect's command line names it."""
        return f"{self.flow_name}/{self.name}"
