"""The deployments that `prefect.yaml` declares, with what the stack changes of them: pure, no Pulumi, no Prefect."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from infra.flow_signature import source as flow_source
from infra.prefect_yaml.deployment import Entry, parameter_complaints
from infra.prefect_yaml.document import Document, nearest
from infra.specs.deployment import DeploymentSpec, Schedule

__all__ = ["DeploymentError", "DeploymentSpec", "Override", "Schedule", "load_deployments"]

_TOP: Final = ("prefect-version", "name", "build", "push", "pull", "deployments", "definitions")


class DeploymentError(Exception):
    """prefect.yaml, or what a stack overrides of it, is wrong. Its text has a line for every mistake."""


class Override(Protocol):
    """What a stack changes of one deployment."""

    @property
    def paused(self) -> bool | None:
        """Whether the deployment is paused; None leaves it to the file."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters that replace those of the file, one by one."""

    @property
    def job_variables(self) -> Mapping[str, Any]:
        """Job variables that replace those of the file, one by one."""


def to_stderr(text: str) -> None:
    """Tell a warning to the person; Pulumi shows a program's standard error."""
    print(f"warning: {text}", file=sys.stderr)


def load_deployments(
    path: Path,
    *,
    overrides: Mapping[str, Override] | None = None,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[str], None] = to_stderr,
) -> tuple[DeploymentSpec, ...]:
    """Read the deployments.

    Args:
        path: of prefect.yaml; entrypoints are looked up from its folder.
        overrides: `<flow>/<deployment>` -> what this stack changes of it.
        environment: for `{{ $NAME }}`; this process's own by default.
        warn: takes a sentence about something that is passed over.

    Raises:
        DeploymentError: naming every mistake by file, line, deployment and key, with its remedy.

    """
    try:
        document = Document(path)
    except ValueError as error:
        raise DeploymentError(str(error)) from None
    specs = _declared(document, os.environ if environment is None else environment, warn)
    specs = _overridden(document, specs, overrides or {})
    if document.problems:
        head = f"{path.name} is not valid, so nothing was changed:"
        raise DeploymentError("\n".join([head, *(f"  {problem}" for problem in document.problems)]))
    return tuple(specs)


def _declared(document: Document, environment: Mapping[str, str], warn: Callable[[str], None]) -> list[DeploymentSpec]:
    values = document.values
    for key in values:
        near = nearest(str(key), _TOP)
        # Any other key is where people keep their anchors.
        if key not in _TOP and near.startswith("did"):
            document.complain((key,), f"'{key}' means nothing at the top of the file; {near}")
    for key in ("build", "push"):
        if values.get(key):
            warn(f"{document.at((key,))}: {key} steps are passed over: the image is a Pulumi resource.")
    listed = values.get("deployments") or []
    if not isinstance(listed, list):
        document.complain(("deployments",), "deployments is no list; write `- name: ...` below it")
        listed = []
    specs: list[DeploymentSpec] = []
    for index, raw in enumerate(listed):
        place = ("deployments", index)
        entry = Entry(document, place, pull=values.get("pull"), environment=environment, warn=warn)
        spec = entry.spec(raw)
        if spec and any(spec.key == other.key for other in specs):
            document.complain((*place, "name"), f"deployment '{spec.key}' is declared twice; rename one")
        specs += [spec] if spec else []
    return specs


def _overridden(
    document: Document, specs: list[DeploymentSpec], overrides: Mapping[str, Override]
) -> list[DeploymentSpec]:
    keys = [spec.key for spec in specs]
    for key in overrides:
        if key not in keys:
            text = f"there is no such deployment in {document.path.name}; {nearest(key, keys)}"
            document.problems.append(f"the stack's deployments: '{key}': {text}")
    return [_merged(document, spec, overrides.get(spec.key)) for spec in specs]


def _merged(document: Document, spec: DeploymentSpec, override: Override | None) -> DeploymentSpec:
    if override is None:
        return spec
    source = flow_source.find(spec.entrypoint, document.path.resolve().parent)
    enforce = spec.enforce_parameter_schema
    for text in parameter_complaints(override.parameters, spec.parameter_schema, source, enforce=enforce):
        document.problems.append(f"the stack's deployments: '{spec.key}': parameters: {text}")
    return dataclasses.replace(
        spec,
        paused=spec.paused if override.paused is None else override.paused,
        parameters={**spec.parameters, **override.parameters},
        job_variables={**spec.job_variables, **override.job_variables},
    )
