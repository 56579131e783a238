"""The Prefect objects around the deployments: queues, variables, limits and automations, of both files together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi import Input, Output, Resource, ResourceOptions

from infra import crash_detection
from infra.prefect_yaml.automation import NAME_KEYS
from infra.prefect_yaml.document import nearest
from infra.registration.automation import Automation, AutomationArgs
from infra.registration.concurrency_limit import GlobalConcurrencyLimit, GlobalConcurrencyLimitArgs
from infra.registration.deployment import Deployment
from infra.registration.endpoint import ApiEndpoint
from infra.registration.variable import Variable, VariableArgs
from infra.registration.work_pool import WorkPool
from infra.registration.work_queue import WorkQueue, WorkQueueArgs
from infra.settings import Settings, SettingsError
from infra.settings.objects import WorkQueue as WorkQueueSettings
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec

DEFAULT_QUEUE = "default"
"""The queue that every work pool has."""

Placed = Mapping[str, tuple[DeploymentSpec, ...]]
"""Work pool -> the deployments whose runs it takes."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What automations may act on.

    Attributes:
        endpoint: where the Prefect API is.
        pools: by name.
        queues: by `<pool>/<queue>`.
        deployments: `<flow>/<deployment>` -> the resource.

    """

    endpoint: ApiEndpoint
    pools: Mapping[str, WorkPool]
    queues: Mapping[str, WorkQueue]
    deployments: Mapping[str, Deployment]


def check(chosen: Settings, placed: Placed, *, stack: str) -> None:
    """Compare what the two files say of each other.

    Raises:
        SettingsError: an automation names an object that is not declared, or has the name of a deployment's trigger,
            in which case nobody could tell the two apart.

    """
    declared = [spec for specs in placed.values() for spec in specs]
    known: Mapping[str, Collection[str]] = {
        "deployment": [spec.key for spec in declared],
        "work_pool": list(placed),
        "work_queue": [f"{pool}/{queue}" for pool, specs in placed.items() for queue in _queues(chosen, pool, specs)],
    }
    triggers = {trigger.name: spec.key for spec in declared for trigger in spec.triggers}
    own = [_crash_detection(pool) for pool in placed]
    problems = []
    for name, automation in chosen.automations.items():
        if name in triggers:
            problems.append(f"automations.{name}: deployment '{triggers[name]}' has a trigger of that name; rename one")
        if name in own:
            problems.append(f"automations.{name}: is the name of the stack's own automation; rename it")
        for place, action in _actions(automation.spec(name)):
            for kind, names in known.items():
                if action.get(kind) is not None and action[kind] not in names:
                    text = f"{kind} '{action[kind]}' is declared nowhere; {nearest(str(action[kind]), names)}"
                    problems.append(f"automations.{name}.{place}: {text}")
    if problems:
        head = f"Pulumi.{stack}.yaml is not valid, so nothing was changed:"
        raise SettingsError("\n".join([head, *(f"  ephemeral-dask:{problem}" for problem in problems)]))


def work_queues(
    endpoint: ApiEndpoint, pool: WorkPool, name: str, chosen: Settings, specs: tuple[DeploymentSpec, ...]
) -> Mapping[str, WorkQueue]:
    """Make a pool's queues: those of the settings, and those that a deployment names.

    Prefect would make the latter in passing, and keep them for ever.

    Args:
        endpoint: where the Prefect API is.
        pool: the pool.
        name: its name.
        chosen: the stack's settings.
        specs: the deployments whose runs the pool takes.

    Returns:
        By name.

    """
    return {
        queue: WorkQueue(
            f"queue-{name}-{queue}",
            WorkQueueArgs(
                endpoint=endpoint,
                work_pool_name=pool.name,
                name=queue,
                description=wanted.description,
                concurrency_limit=wanted.concurrency_limit,
                priority=wanted.priority,
                is_paused=wanted.paused,
            ),
        )
        for queue, wanted in _queues(chosen, name, specs).items()
    }


def register(chosen: Settings, placed: Placed, registered: Registered) -> list[Resource]:
    """Make variables, limits and automations, and return them."""
    endpoint = registered.endpoint
    made: list[Resource] = []
    # What is wrong with the API itself is told once, by the pools.
    after = ResourceOptions(depends_on=[*registered.pools.values()])
    for name, variable in chosen.variables.items():
        args = VariableArgs(endpoint=endpoint, name=name, value=variable.value, tags=tuple(variable.tags))
        made.append(Variable(f"variable-{name}", args, after))
    for name, limit in chosen.concurrency_limits.items():
        slots = GlobalConcurrencyLimitArgs(
            endpoint=endpoint,
            name=name,
            limit=limit.limit,
            slot_decay_per_second=limit.slot_decay_per_second,
            active=limit.active,
        )
        made.append(GlobalConcurrencyLimit(f"limit-{name}", slots, after))
    for name, automation in chosen.automations.items():
        made.append(_automation(f"automation-{name}", automation.spec(name), registered, opts=after))
    for pool, specs in placed.items():
        for spec in specs:
            for trigger in spec.triggers:
                resource = f"{spec.key.replace('/', '-')}-{trigger.name}"
                made.append(_automation(resource, trigger, registered, owner=spec.key))
        seconds = (chosen.work_pools[pool].flow_run or chosen.flow_run).crashed_after
        if seconds is not None and specs:
            ids = [registered.deployments[spec.key].deployment_id for spec in specs]
            made.append(_watch(pool, ids, seconds, endpoint))
    return made


def _watch(pool: str, deployment_ids: list[Output[str]], seconds: int, endpoint: ApiEndpoint) -> Automation:
    """Make the automation that takes silent runs of a pool for Crashed."""
    return Automation(
        f"crash-detection-{pool}",
        AutomationArgs(
            endpoint=endpoint,
            name=_crash_detection(pool),
            description="Takes runs that show no sign of life for Crashed.",
            trigger=crash_detection.trigger(deployment_ids, seconds),
            actions=[crash_detection.action(seconds)],
        ),
    )


def _crash_detection(pool: str) -> str:
    return f"Crash silent runs of work pool {pool}"


def _queues(chosen: Settings, pool: str, specs: tuple[DeploymentSpec, ...]) -> dict[str, WorkQueueSettings]:
    named = {spec.work_queue_name: WorkQueueSettings() for spec in specs if spec.work_queue_name != DEFAULT_QUEUE}
    return {**named, **chosen.work_pools[pool].work_queues}


def _automation(
    resource: str,
    spec: AutomationSpec,
    registered: Registered,
    owner: str | None = None,
    opts: ResourceOptions | None = None,
) -> Automation:
    owned = registered.deployments[owner].deployment_id if owner else None
    actions: dict[str, list[Any]] = {"actions": [], "actions_on_trigger": [], "actions_on_resolve": []}
    for name, found in actions.items():
        for action in getattr(spec, name):
            target = {"deployment": owner} if owner else {}
            found.append(_with_ids({**action, **target}, registered))
    return Automation(
        resource,
        AutomationArgs(
            endpoint=registered.endpoint,
            name=spec.name,
            description=spec.description,
            enabled=spec.enabled,
            tags=spec.tags,
            trigger=spec.trigger,
            deployment=owner,
            deployment_id=owned,
            secret=spec.secret,
            **actions,
        ),
        opts,
    )


def _with_ids(action: Mapping[str, Any], registered: Registered) -> dict[str, Any]:
    """Return the action with Prefect's ids for what it names."""
    ids: dict[str, Callable[[str], Input[str]]] = {
        "deployment": lambda key: registered.deployments[key].deployment_id,
        "work_pool": lambda name: registered.pools[name].pool_id,
        "work_queue": lambda name: registered.queues[name].queue_id,
    }
    resolved = dict(action)
    for field, kind in NAME_KEYS.items():
        named = resolved.pop(kind, None)
        if named is not None:
            resolved[field] = ids[kind](named)
    return resolved


def _actions(spec: AutomationSpec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place in ("actions", "actions_on_trigger", "actions_on_resolve"):
        for index, action in enumerate(getattr(spec, place)):
            yield f"{place}.{index}", action
