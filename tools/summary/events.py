"""The engine's events as plain data: what a preview plans, what it could not plan, and why.

The events have every resource with its old and its new inputs, also those that stay the same. The digest of `pulumi
preview --json` leaves those out, and the total of the Dask capacity needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi.automation.events import EngineEvent, StepEventMetadata, StepEventStateMetadata

from tools.engine import diagnostics, urn

Fields = Mapping[str, Any]

SECRET: Final = "[secret]"  # noqa: S105  what stands where a secret was
"""What the engine writes for a secret."""

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that is known only after the update."""

PREFECT: Final = "pulumi-python:dynamic/prefect:"
KUBERNETES: Final = "kubernetes:"
GUARDS: Final = "pulumi-python:dynamic/kubernetes:"
"""How the types of Prefect's and Kubernetes' resources begin, and those of our own that guard Kubernetes."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key of the dictionary that stands for a secret, an asset or the like; its value says which."""

_OPERATIONS: Final = {
    "same": "same",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "import": "import",
    "import-replacement": "import",
}
"""Engine's step -> what happens to the resource. The parts of a replacement are left out: it has a step of its own."""

_NULL: Final = "␀"
"""A null inside a dictionary of a Prefect resource, see `infra.registration.encoding`."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one resource.

    Attributes:
        operation: `same`, `create`, `update`, `replace`, `delete` or `import`.
        type: Pulumi's type token.
        name: the resource's name in the program.
        old: inputs before, as they are in the world after the refresh; None for a new resource.
        new: inputs after; None for a deleted one.
        recorded: inputs that the state had before the refresh, where they differ from `old`: someone edited the
            object outside Pulumi.
        vanished: the object was deleted outside Pulumi.

    """

    operation: str
    type: str
    name: str
    old: Fields | None
    new: Fields | None
    recorded: Fields | None = None
    vanished: bool = False

    @property
    def inputs(self) -> Fields:
        """The inputs after, or for a deleted resource those before."""
        return self.new if self.new is not None else self.old or {}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a preview found.

    Attributes:
        steps: one for every resource of the program or the state, providers and components left out.
        errors: each once, with the resource that failed.
        warnings: each once.

    """

    steps: tuple[Step, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse(events: Iterable[EngineEvent]) -> Plan:
    """Read the events of one preview."""
    events = list(events)
    drift = _drift(events)
    planned = [event.resource_pre_event.metadata for event in events if event.resource_pre_event is not None]
    steps = [_step(step, drift) for step in planned if step.op.value in _OPERATIONS and _is_resource(step)]
    return Plan(
        steps=tuple(steps),
        errors=tuple(str(failure) for failure in diagnostics.failures(events)),
        warnings=diagnostics.warnings(events),
    )


def _is_resource(step: StepEventMetadata) -> bool:
    state = step.new or step.old
    return state is not None and bool(state.custom) and not step.type.startswith("pulumi:")


@dataclass(frozen=True, kw_only=True)
class _Drift:
    edited: Mapping[str, Fields] = field(default_factory=dict)
    vanished: frozenset[str] = frozenset()


def _drift(events: Iterable[EngineEvent]) -> _Drift:
    edited: dict[str, Fields] = {}
    vanished: set[str] = set()
    for event in events:
        step = event.res_outputs_event.metadata if event.res_outputs_event is not None else None
        if step is None or step.op.value != "refresh" or not _is_resource(step):
            continue
        if step.new is None:
            vanished.add(step.urn)
        elif step.old is not None and step.old.inputs != step.new.inputs:
            edited[step.urn] = _inputs(step.old)
    return _Drift(edited=edited, vanished=frozenset(vanished))


def _step(step: StepEventMetadata, drift: _Drift) -> Step:
    return Step(
        operation=_OPERATIONS[step.op.value],
        type=step.type,
        name=urn.name(step.urn),
        old=_inputs(step.old) if step.old is not None else None,
        new=_inputs(step.new) if step.new is not None else None,
        recorded=drift.edited.get(step.urn),
        vanished=step.urn in drift.vanished,
    )


def _inputs(state: StepEventStateMetadata) -> Fields:
    inputs: Fields = _plain(state.inputs or {})
    return inputs


def _plain(value: Any) -> Any:
    """Return a value without the engine's own spelling: secrets as `[secret]`, files by their digest, null as None."""
    if isinstance(value, Mapping):
        if _SIGNATURE in value:
            return f"file {str(value['hash'])[:12]}" if value.get("hash") else SECRET
        return {key: _plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == _NULL else value
