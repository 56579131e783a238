"""Loads the deployments of prefect.yaml with the stack's overrides, without importing Pulumi or Prefect."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from infra.flow_signature.source import find
from infra.prefect_yaml.deployment import FileDefaults, parse_deployment
from infra.prefect_yaml.document import Document, nearest
from infra.prefect_yaml.parameters import parameter_errors
from infra.specs.deployment import DeploymentSpec, Schedule

__all__ = ["DeploymentError", "DeploymentSpec", "Override", "Schedule", "load_deployments"]

_TOP: Final = ("prefect-version", "name", "build", "push", "pull", "deployments", "definitions")


class DeploymentError(Exception):
    """prefect.yaml, or a stack's override of it, is not valid. The text has one line per error."""


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


def to_stderr(text: str) -> None:
    """Print a warning to standard error, which Pulumi shows."""
    print(f"warning: {text}", file=sys.stderr)


def load_deployments(
    path: Path,
    *,
    overrides: Mapping[str, Override] | None = None,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[str], None] = to_stderr,
) -> tuple[DeploymentSpec, ...]:
    """Load the deployments.

    Args:
        path: prefect.yaml; entrypoints are relative to its folder.
        overrides: `<flow>/<deployment>` -> what this stack overrides.
        environment: for `{{ $NAME }}`; this process's environment by default.
        warn: takes a message about something that is ignored.

    Raises:
        DeploymentError: one line per error with file, line, deployment and key, and the remedy.

    """
    try:
        document = Document(path)
    except ValueError as error:
        raise DeploymentError(str(error)) from None
    specs = _declared(document, os.environ if environment is None else environment, warn)
    specs = _overridden(document, specs, overrides or {})
    if document.errors:
        head = f"{path.name} is not valid, so nothing was changed:"
        raise DeploymentError("\n".join([head, *(f"  {error}" for error in document.errors)]))
    return tuple(specs)


def _declared(document: Document, environment: Mapping[str, str], warn: Callable[[str], None]) -> list[DeploymentSpec]:
    values = document.values
    for key in values:
        near = nearest(str(key), _TOP)
        # Other keys may hold YAML anchors.
        if key not in _TOP and near.startswith("did"):
            document.error((key,), f"'{key}' has no meaning at the top of the file; {near}")
    for key in ("build", "push"):
        if values.get(key):
            warn(f"{document.at((key,))}: {key} steps are ignored, because Pulumi builds and pushes the image.")
    items = values.get("deployments") or []
    if not isinstance(items, list):
        document.error(("deployments",), "deployments must be a list; write `- name: ...` below it")
        items = []
    defaults = FileDefaults(pull=values.get("pull"), environment=environment)
    specs: list[DeploymentSpec] = []
    for index, raw in enumerate(items):
        place = ("deployments", index)
        spec = parse_deployment(document, place, raw, defaults, warn=warn)
        if spec and any(spec.key == other.key for other in specs):
            document.error((*place, "name"), f"deployment '{spec.key}' is declared twice; rename one")
        specs += [spec] if spec else []
    return specs


def _overridden(
    document: Document, specs: list[DeploymentSpec], overrides: Mapping[str, Override]
) -> list[DeploymentSpec]:
    keys = [spec.key for spec in specs]
    for key in overrides:
        if key not in keys:
            hint = f"no such deployment in {document.path.name}; {nearest(key, keys)}"
            document.errors.append(f"the stack's deployments: '{key}': {hint}")
    return [_merged(document, spec, overrides.get(spec.key)) for spec in specs]


def _merged(document: Document, spec: DeploymentSpec, override: Override | None) -> DeploymentSpec:
    if override is None:
        return spec
    source = find(spec.entrypoint, document.path.resolve().parent)
    enforce = spec.enforce_parameter_schema
    for error in parameter_errors(override.parameters, spec.parameter_schema, source, enforce=enforce):
        document.errors.append(f"the stack's deployments: '{spec.key}': parameters: {error}")
    return dataclasses.replace(
        spec,
        paused=spec.paused if override.paused is None else override.paused,
        parameters={**spec.parameters, **override.parameters},
        job_variables={**spec.job_variables, **override.job_variables},
    )
