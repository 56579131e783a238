"""A resource that is renamed or moved keeps its old name as an alias; otherwise stacks would delete and recreate it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
import pytest

from infra import program, validation
from infra.prefect_yaml.load import DeploymentSpec
from infra.specs.automation import AutomationSpec
from tests.mocks import Render
from tools.paths import ROOT

LIST: Final = ROOT / "tests" / "unit" / "infra" / "resources.txt"

SMALL = {
    "image": {"builder": "docker", "registry": "localhost:5001"},
    "prefect": {"mode": "embedded", "auth": "none"},
    "results": {"store": "volume", "keepDays": 30},
}
LARGE = {
    "image": {"builder": "docker-build", "registry": "registry.example.com", "flows": {"gpu": {}}},
    "prefect": {
        "mode": "embedded",
        "database": {"kind": "postgresql"},
        "redis": {},
        "replicas": 2,
        "backgroundServices": "apart",
        "ingress": {"host": "prefect.example.com"},
    },
    "prefectAuthString": "user:password",
    "prefectDatabaseUrl": "postgresql+asyncpg://user:password@host/prefect",
    "prefectRedisUrl": "redis://:password@host:6379/0",
    "worker": {"replicas": 2},
    "workPools": {"dask": {"workQueues": {"fast": {}}}, "gpu": {"image": "gpu"}},
    "quota": {"cpu": "200", "memory": "800Gi"},
    "monitoring": {"monitors": True, "serverSecret": "login", "alerts": True, "dashboard": True},
    "variables": {"answer": {"value": 42}},
    "concurrencyLimits": {"database": {"limit": 5}},
    "automations": {"mine": {"trigger": {"expect": ["a"]}, "actions": [{"type": "do-nothing"}]}},
}
TRIGGER = AutomationSpec(
    name="then", trigger={"type": "event", "expect": ["b"]}, actions=({"type": "run-deployment", "parameters": {}},)
)
DEPLOYMENT = DeploymentSpec(flow_name="flow", name="one", entrypoint="flows.x.y", triggers=(TRIGGER,))


@dataclass
class Registered:
    """What a program registers, by the part of a URN that the program decides: qualified type and name."""

    resources: dict[int, pulumi.ResourceTransformationArgs] = field(default_factory=dict)

    def __call__(self, args: pulumi.ResourceTransformationArgs) -> None:
        self.resources[id(args.resource)] = args

    def now(self) -> set[str]:
        return {self._known_as(args, aliases=False).pop() for args in self.resources.values()}

    def ever(self) -> set[str]:
        """The same, and the earlier names: the aliases of each resource and those that it inherits from its parents."""
        return {name for args in self.resources.values() for name in self._known_as(args, aliases=True)}

    def _known_as(self, args: pulumi.ResourceTransformationArgs, *, aliases: bool) -> set[str]:
        own_aliases = [each for each in args.opts.aliases or () if isinstance(each, pulumi.Alias)] if aliases else []
        return {
            name
            for alias in (pulumi.Alias(), *own_aliases)
            for name in self._below(
                args.opts.parent if alias.parent is ... else alias.parent,
                args.type_ if alias.type_ is ... else str(alias.type_),
                args.name if alias.name is ... else str(alias.name),
                aliases=aliases,
            )
        }

    def _below(self, parent: Any, kind: str, name: str, *, aliases: bool) -> set[str]:
        above = self.resources.get(id(parent))
        if above is None:
            return {f"{kind}::{name}"}
        names = set()
        for each in self._known_as(above, aliases=aliases):
            kinds, _, called = each.partition("::")
            # As the engine does it: a child that is named after its parent follows the parent's alias.
            own = called + name.removeprefix(above.name) if name.startswith(above.name) else name
            names.add(f"{kinds}${kind}::{own}")
        return names


def registered(render: Render, build: Callable[[], Any], *configs: dict[str, Any]) -> Registered:
    program_resources = Registered()

    def watched() -> None:
        pulumi.runtime.register_stack_transformation(program_resources)
        build()

    for config in configs:
        render(watched, config)
    return program_resources


@pytest.fixture
def stacks(render: Render, monkeypatch: pytest.MonkeyPatch) -> Registered:
    monkeypatch.setattr(pulumi, "export", lambda *_: None)
    monkeypatch.setattr(validation, "load_deployments", lambda *_, **__: (DEPLOYMENT,))
    monkeypatch.setattr(validation, "check_imports", lambda *_, **__: [])
    return registered(render, program.deploy, SMALL, LARGE)


def test_every_listed_resource_keeps_its_name_or_an_alias(stacks: Registered) -> None:
    lost = set(LIST.read_text().splitlines()) - stacks.ever()
    assert not lost, (
        "a stack would delete and recreate these: "
        + ", ".join(sorted(lost))
        + ". Where one was renamed or moved, add `aliases=[pulumi.Alias(...)]` with its old name, type or parent to the"
        " ResourceOptions of what it is now; where it is own_aliases up for good, take its line out of " + LIST.name
    )


def test_every_resource_is_in_the_list(stacks: Registered) -> None:
    new = stacks.now() - set(LIST.read_text().splitlines())
    assert not new, f"add to {LIST.name}:\n" + "\n".join(sorted(new))


class Component(pulumi.ComponentResource):
    """A component with a child that is named after it."""

    def __init__(self, name: str, *aliases: pulumi.Alias) -> None:
        super().__init__("test:index:Component", name, {}, pulumi.ResourceOptions(aliases=list(aliases)))
        pulumi.ComponentResource("test:index:Child", f"{name}-child", {}, pulumi.ResourceOptions(parent=self))


OLD = {"test:index:Component::old", "test:index:Component$test:index:Child::old-child"}


def test_a_renamed_component_is_known_by_its_old_name_with_an_alias_and_so_are_its_children(render: Render) -> None:
    assert registered(render, lambda: Component("old"), {}).ever() == OLD
    assert not registered(render, lambda: Component("new"), {}).ever() & OLD
    assert registered(render, lambda: Component("new", pulumi.Alias(name="old")), {}).ever() >= OLD
