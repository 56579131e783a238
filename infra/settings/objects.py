"""Settings of the Prefect objects that prefect.yaml cannot declare."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, model_validator

from infra.prefect_yaml import automation as automation_yaml
from infra.prefect_yaml.automation import AutomationError
from infra.settings.types import Model
from infra.specs.automation import AutomationSpec
from infra.specs.numbers import LARGEST_EXACT_INTEGER

ADOPTED_KINDS: Final = ("deployment", "work-pool", "variable", "global-concurrency-limit", "automation")
"""Kinds of object that another user of a Prefect server may have registered. A work queue goes with its pool."""

_LONGEST_VALUE = 5000
"""Characters of a variable's JSON; Prefect's limit."""


def _prefect_name(value: str) -> str:
    if not value or set("/%&<>") & set(value):
        message = f"'{value}' has one of / % & < > or is empty: choose another name, it becomes part of a URL"
        raise ValueError(message)
    return value


def _variable_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", value):
        message = f"'{value}' is not a valid variable name: use up to 255 letters, digits, dashes and underscores"
        raise ValueError(message)
    return value


def _limit_name(value: str) -> str:
    if value.startswith("deployment:"):
        message = f"'{value}' is Prefect's own: set concurrency_limit of that deployment in prefect.yaml"
        raise ValueError(message)
    return _prefect_name(value)


def _adopted(value: str) -> str:
    kind, _, name = value.partition("/")
    if value != "*" and not (kind in ADOPTED_KINDS and name):
        kinds = ", ".join(ADOPTED_KINDS)
        message = f"'{value}' is not <kind>/<name>: write one of {kinds} before the slash, such as work-pool/dask"
        raise ValueError(message)
    return value


def _storable(value: Any) -> Any:
    if _too_large(value):
        raise ValueError("holds a number too large for Pulumi, which keeps numbers as doubles; write it as text")
    if len(json.dumps(value, separators=(",", ":"))) > _LONGEST_VALUE:
        message = f"is longer than {_LONGEST_VALUE} characters as JSON, which Prefect refuses; keep it elsewhere"
        raise ValueError(message)
    return value


def _too_large(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(_too_large(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and abs(value) > LARGEST_EXACT_INTEGER


def _checked(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        try:
            return check(value)
        except AutomationError as error:
            where = ".".join(map(str, error.place))
            raise ValueError(f"{where}: {error}" if where else str(error)) from None

    return validate


PrefectName = Annotated[str, AfterValidator(_prefect_name)]
Adopted = Annotated[str, AfterValidator(_adopted)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
LimitName = Annotated[str, AfterValidator(_limit_name)]
Trigger = Annotated[dict[str, Any], AfterValidator(_checked(automation_yaml.parse_trigger))]
"""A trigger in Prefect's own schema."""
Action = Annotated[dict[str, Any], AfterValidator(_checked(automation_yaml.parse_action))]
"""An action in Prefect's own schema; `deployment`, `work_pool` and `work_queue` name the object instead of its id."""


class Variable(Model):
    """A Prefect variable. Everyone with access to Prefect can read it: do not store secrets in it."""

    value: Annotated[Any, AfterValidator(_storable)]
    """Any YAML value."""
    tags: list[str] = Field(default_factory=list)


class ConcurrencyLimit(Model):
    """A Prefect global concurrency limit."""

    limit: int = Field(ge=0)
    """Number of slots; with 0, tasks and runs wait until it is raised."""
    slot_decay_per_second: float = Field(default=0, ge=0, strict=False)
    """Slots released per second, for a rate limit."""
    active: bool | None = None
    """Whether it is enforced; when unset, it can be switched in Prefect."""


class WorkQueue(Model):
    """A work queue of a work pool."""

    description: str = ""
    priority: int | None = Field(default=None, ge=1)
    """1 is the highest."""
    concurrency_limit: int | None = Field(default=None, ge=0)
    """Concurrent runs of the queue."""
    paused: bool | None = None
    """When unset, it can be paused and resumed in Prefect."""


class Automation(Model):
    """A Prefect automation, its trigger and actions in Prefect's own schema."""

    trigger: Trigger
    actions: list[Action] = Field(min_length=1)
    actions_on_trigger: list[Action] = Field(default_factory=list)
    actions_on_resolve: list[Action] = Field(default_factory=list)
    description: str = ""
    enabled: bool | None = None
    """When unset, it can be paused and resumed in Prefect."""
    tags: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _as_prefect_writes_it(cls, values: Any) -> Any:
        """Accept Prefect's own spelling, such as `actions_on_trigger`, as well."""
        if not isinstance(values, dict):
            return values
        snake = {"actions_on_trigger": "actionsOnTrigger", "actions_on_resolve": "actionsOnResolve"}
        return {snake.get(key, key): value for key, value in values.items()}

    def spec(self, name: str) -> AutomationSpec:
        """Return the automation of that name."""
        return AutomationSpec(
            name=name,
            trigger=self.trigger,
            actions=tuple(self.actions),
            actions_on_trigger=tuple(self.actions_on_trigger),
            actions_on_resolve=tuple(self.actions_on_resolve),
            description=self.description,
            enabled=self.enabled,
            tags=tuple(self.tags),
        )


def unique_priorities(queues: dict[str, WorkQueue]) -> dict[str, WorkQueue]:
    """Refuse two queues with the same priority: Prefect would change one of them.

    Raises:
        ValueError: naming them.

    """
    names: dict[int, str] = {}
    for name, queue in queues.items():
        if queue.priority is None:
            continue
        if queue.priority in names:
            message = f"'{names[queue.priority]}' and '{name}' both have priority {queue.priority}; give each its own"
            raise ValueError(message)
        names[queue.priority] = name
    return queues
