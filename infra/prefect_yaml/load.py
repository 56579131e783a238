"""Loads the deployments of prefect.yaml with the stack's overrides, without importing Pulumi or Prefect."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from infra.prefect_yaml import keys
from infra.prefect_yaml.deployment import FileDefaults, parse_deployment
from infra.prefect_yaml.document import Document, Place, nearest
from infra.prefect_yaml.flow import described_names, read_flow
from infra.prefect_yaml.parameters import incomplete, parameter_errors
from infra.prefect_yaml.templating import Sources
from infra.prefect_yaml.values import dotted
from infra.specs.deployment import DeploymentSpec, Schedule

__all__ = ["DeploymentError", "DeploymentSpec", "Override", "Schedule", "load_deployments"]


class DeploymentError(Exception):
    """prefect.yaml, or a stack's override of it, is not valid. The text has one line per error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file declares, and what is wrong with it.

    Attributes:
        deployments: those that could be read, also where a part of one is wrong.
        errors: with file, line and remedy.

    """

    deployments: tuple[DeploymentSpec, ...]
    errors: tuple[str, ...]


class Override(Protocol):
    """What a stack overrides in one deployment."""

    @property
    def paused(self) -> bool | None:
        """Whether the deployment is paused; None keeps the file's value."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters, each of which replaces the file's."""

    @property
    def job_variables(self) -> Mapping[str, Any]:
        """Job variables, each of which replaces the file's."""

    @property
    def parameter_schema(self) -> Mapping[str, Any] | None:
        """The schema of the flow's parameters, instead of the one in its source."""

    @property
    def flow_name(self) -> str | None:
        """The flow's name, where the source does not show it."""


def to_stderr(text: str) -> None:
    """Print a warning to standard error, which Pulumi shows."""
    print(f"warning: {text}", file=sys.stderr)


def load_deployments(
    path: Path,
    *,
    overrides: Mapping[str, Override] | None = None,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = MappingProxyType({}),
    warn: Callable[[str], None] = to_stderr,
) -> tuple[DeploymentSpec, ...]:
    """Load the deployments of a file that is valid as a whole.

    Args:
        path: prefect.yaml; entrypoints are relative to its folder.
        overrides: `<flow>/<deployment>` -> what this stack overrides.
        environment: for `{{ $NAME }}`; this process's environment by default.
        variables: Prefect variables that the stack declares; None if the stack is not known.
        warn: takes a message about something that is ignored.

    Raises:
        DeploymentError: one line per error with file, line, deployment and key, and the remedy.

    """
    reading = read_deployments(path, overrides=overrides, environment=environment, variables=variables, warn=warn)
    if reading.errors:
        head = f"{path.name} is not valid, so nothing was changed:"
        raise DeploymentError("\n".join([head, *(f"  {error}" for error in reading.errors)]))
    return reading.deployments


def read_deployments(
    path: Path,
    *,
    overrides: Mapping[str, Override] | None = None,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = MappingProxyType({}),
    warn: Callable[[str], None] = to_stderr,
) -> Reading:
    """Read the deployments, and all errors beside them.

    Args:
        path: prefect.yaml; entrypoints are relative to its folder.
        overrides: `<flow>/<deployment>` -> what this stack overrides.
        environment: for `{{ $NAME }}`; this process's environment by default.
        variables: Prefect variables that the stack declares; None if the stack is not known.
        warn: takes a message about something that is ignored.

    Raises:
        DeploymentError: the file cannot be read at all.

    """
    try:
        document = Document(path, warn=warn)
    except ValueError as error:
        raise DeploymentError(str(error)) from None
    sources = Sources(environment=os.environ if environment is None else environment, variables=variables)
    declared = _declared(document, sources, overrides or {})
    specs = _overridden(document, declared, overrides or {})
    return Reading(deployments=tuple(specs), errors=tuple(document.errors))


def _declared(document: Document, sources: Sources, overrides: Mapping[str, Override]) -> dict[Place, DeploymentSpec]:
    values = document.values
    keys.check_top(document)
    for key in ("build", "push"):
        if values.get(key):
            document.warning((key,), f"{key} steps are ignored, because Pulumi builds and pushes the image")
    items = values.get("deployments") or []
    if not isinstance(items, list):
        document.error(("deployments",), "deployments must be a list; write `- name: ...` below it")
        items = []
    defaults = FileDefaults(steps=values, sources=sources, descriptions=overrides)
    specs: dict[Place, DeploymentSpec] = {}
    for index, raw in enumerate(items):
        place = ("deployments", index)
        spec = parse_deployment(document, place, raw, defaults)
        for earlier in [other for other, each in specs.items() if spec and each.key == spec.key]:
            text = (
                f"deployment '{specs[earlier].key}' is declared again below, and only the last one counts; rename one"
            )
            document.warning(earlier, text)
            del specs[earlier]
        if spec is not None:
            specs[place] = spec
    return specs


def _overridden(
    document: Document, specs: Mapping[Place, DeploymentSpec], overrides: Mapping[str, Override]
) -> list[DeploymentSpec]:
    keys = [spec.key for spec in specs.values()]
    named = described_names(overrides)
    for name, key in named.items():
        if name not in keys:
            hint = f"no such deployment in {document.path.name}; {nearest(key, keys)}"
            document.errors.append(f"the stack's deployments: '{key}': {hint}")
    merged = {place: _merged(document, spec, overrides, named.get(spec.key)) for place, spec in specs.items()}
    for place, spec in merged.items():
        _check_runs(document, place, spec)
    return list(merged.values())


def _check_runs(document: Document, place: Place, spec: DeploymentSpec) -> None:
    """Record an error for each schedule and trigger whose runs lack a parameter, and so would all fail."""
    raw = document.values["deployments"][place[-1]]
    starts: list[tuple[Place, Mapping[str, Any], bool, Sequence[str]]] = []
    for index, schedule in enumerate(spec.schedules):
        where: Place = ("schedule",) if raw.get("schedule") else ("schedules", index)
        active = schedule.active is not False and spec.paused is not True
        starts.append((where, schedule.parameters, active, spec.variadic))
    for index, trigger in enumerate(spec.triggers):
        own = trigger.actions[0].get("parameters", {})
        # The server validates the runs of a trigger, and those of a schedule it does not.
        starts.append((("triggers", index), own, trigger.enabled is not False, ()))
    schema, enforce = spec.parameter_schema, spec.enforce_parameter_schema
    for where, parameters, active, optional in starts:
        merged = {**spec.parameters, **parameters}
        for problem in incomplete(merged, schema, enforce=enforce, optional=optional):
            record = document.error if active else document.warning
            record((*place, *where), f"deployment '{spec.name}': {dotted(where)}: {problem}")


def _merged(
    document: Document, spec: DeploymentSpec, overrides: Mapping[str, Override], key: str | None
) -> DeploymentSpec:
    if key is None:
        return spec
    override = overrides[key]
    flow = read_flow(spec.entrypoint, document.path.resolve().parent, spec.name, overrides)
    for error in parameter_errors(override.parameters, flow, enforce=spec.enforce_parameter_schema):
        document.errors.append(f"the stack's deployments: '{key}': parameters: {error}")
    return dataclasses.replace(
        spec,
        paused=spec.paused if override.paused is None else override.paused,
        parameters={**spec.parameters, **override.parameters},
        job_variables={**spec.job_variables, **override.job_variables},
    )
