"""The Prefect objects around the deployments: variables, concurrency limits and automations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi import Input, Resource, ResourceOptions

from infra import naming
from infra.prefect_yaml.automation import NAME_KEYS
from infra.registration.automation import Automation, AutomationArgs
from infra.registration.concurrency_limit import GlobalConcurrencyLimit, GlobalConcurrencyLimitArgs
from infra.registration.variable import Variable, VariableArgs
from infra.specs.automation import AutomationSpec
from infra.validation import Plan
from infra.wiring.prefect import PrefectAccess
from infra.wiring.work_pools import WorkPools


@dataclass(frozen=True, kw_only=True)
class PrefectObjects:
    """Variables, concurrency limits and automations.

    Attributes:
        resources: all of them.

    """

    resources: tuple[Resource, ...]


def prefect_objects(plan: Plan, prefect: PrefectAccess, pools: WorkPools) -> PrefectObjects:
    """Register variables, limits and automations of the settings, and the deployments' triggers."""
    # After the pools, so that an error of the API itself is reported once, by them.
    after = ResourceOptions(depends_on=[*pools.pools.values()])
    resources = [
        *_variables(plan, prefect, after),
        *_limits(plan, prefect, after),
        *_automations(plan, prefect, pools, after),
        *_triggers(plan, prefect, pools),
    ]
    return PrefectObjects(resources=tuple(resources))


def _variables(plan: Plan, prefect: PrefectAccess, opts: ResourceOptions) -> Iterator[Resource]:
    for name, variable in plan.settings.variables.items():
        args = VariableArgs(endpoint=prefect.endpoint, name=name, value=variable.value, tags=tuple(variable.tags))
        yield Variable(f"variable-{name}", args, opts)


def _limits(plan: Plan, prefect: PrefectAccess, opts: ResourceOptions) -> Iterator[Resource]:
    for name, limit in plan.settings.concurrency_limits.items():
        args = GlobalConcurrencyLimitArgs(
            endpoint=prefect.endpoint,
            name=name,
            limit=limit.limit,
            slot_decay_per_second=limit.slot_decay_per_second,
            active=limit.active,
        )
        yield GlobalConcurrencyLimit(f"limit-{name}", args, opts)


def _automations(plan: Plan, prefect: PrefectAccess, pools: WorkPools, opts: ResourceOptions) -> Iterator[Resource]:
    names = _automation_names(plan)
    for name, automation in plan.settings.automations.items():
        yield _automation(names[f"stack {name}"], automation.spec(name), prefect, pools, opts=opts)


def _triggers(plan: Plan, prefect: PrefectAccess, pools: WorkPools) -> Iterator[Resource]:
    names = _automation_names(plan)
    for specs in plan.deployments.values():
        for spec in specs:
            for trigger in spec.triggers:
                name = names[f"trigger {spec.key}/{trigger.name}"]
                yield _automation(name, trigger, prefect, pools, owner=spec.key)


def _automation_names(plan: Plan) -> dict[str, str]:
    """Return the resource names of all automations.

    The keys are `stack <name>` and `trigger <flow>/<deployment>/<name>`.
    """
    names = {f"stack {name}": f"automation-{name}" for name in plan.settings.automations}
    for spec in (spec for specs in plan.deployments.values() for spec in specs):
        names |= {
            f"trigger {spec.key}/{each.name}": f"{spec.key.replace('/', '-')}-{each.name}" for each in spec.triggers
        }
    return naming.distinct(names)


def _automation(
    name: str,
    spec: AutomationSpec,
    prefect: PrefectAccess,
    pools: WorkPools,
    *,
    owner: str | None = None,
    opts: ResourceOptions | None = None,
) -> Automation:
    """Register an automation.

    Args:
        name: of the resource.
        spec: the automation.
        prefect: how the API is reached.
        pools: what its actions may name.
        owner: `<flow>/<deployment>`, if it is a deployment's trigger: its actions then run that deployment.
        opts: of the resource.

    """
    target = {"deployment": owner} if owner else {}

    def resolved(actions: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
        return [_with_ids({**action, **target}, pools) for action in actions]

    return Automation(
        name,
        AutomationArgs(
            endpoint=prefect.endpoint,
            name=spec.name,
            description=spec.description,
            enabled=spec.enabled,
            tags=spec.tags,
            trigger=spec.trigger,
            deployment=owner,
            deployment_id=pools.deployments[owner].deployment_id if owner else None,
            secret=spec.secret,
            actions=resolved(spec.actions),
            actions_on_trigger=resolved(spec.actions_on_trigger),
            actions_on_resolve=resolved(spec.actions_on_resolve),
        ),
        opts,
    )


def _with_ids(action: Mapping[str, Any], pools: WorkPools) -> dict[str, Any]:
    """Return the action with Prefect's ids in place of names."""
    ids: dict[str, Callable[[str], Input[str]]] = {
        "deployment": lambda key: pools.deployments[key].deployment_id,
        "work_pool": lambda name: pools.pools[name].pool_id,
        "work_queue": lambda name: pools.queues[name].queue_id,
    }
    resolved = dict(action)
    for field, kind in NAME_KEYS.items():
        name = resolved.pop(kind, None)
        if name is not None:
            resolved[field] = ids[kind](name)
    return resolved
