"""The flow of a deployment: what its source says, or what the stack file says of it where the source cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infra.flow_signature import schema as flow_schema
from infra.flow_signature.source import FlowSource, SourceError, UndecidedError, find


class Description(Protocol):
    """What a stack file says of a flow."""

    @property
    def parameter_schema(self) -> Mapping[str, Any] | None:
        """The schema of its parameters, if the stack file has one."""

    @property
    def flow_name(self) -> str | None:
        """Its name, if the stack file has one."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What a deployment needs to know of its flow.

    Attributes:
        name: as Prefect has it.
        description: in the source.
        root: the folder that module names start from.
        schema: of the parameters.
        parameters: their names.
        variadic: names of `*args` and `**kwargs` among them. Values of the latter are below its name.
        notes: what is registered otherwise than Prefect would, and why.

    """

    name: str
    description: str | None = None
    root: Path
    schema: Mapping[str, Any]
    parameters: tuple[str, ...]
    variadic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_flow(entrypoint: str, root: Path, deployment: str, descriptions: Mapping[str, Description]) -> Flow:
    """Return the flow of a deployment.

    Args:
        entrypoint: as in prefect.yaml.
        root: folder of prefect.yaml.
        deployment: the deployment's name.
        descriptions: `<flow>/<deployment>` -> what the stack file says of it.

    Raises:
        SourceError: the entrypoint does not name a flow, or too little is known of it.

    """
    try:
        source = find(entrypoint, root)
    except UndecidedError as error:
        description = _of(descriptions, error.function.replace("_", "-"), deployment)
        if description is None or description.parameter_schema is None or not description.flow_name:
            raise
        return _described(root, description.flow_name, description.parameter_schema)
    default = source.function.replace("_", "-")
    description = _of(descriptions, source.name or default, deployment)
    declared = description.flow_name if description else None
    if source.name is None and not declared:
        key = f'deployments."{default}/{deployment}".flowName'
        message = f"the name of the flow is unknown, because {source.unknown_name}; write it as {key} in the stack file"
        raise SourceError(message)
    if source.name is not None and declared not in (None, source.name):
        message = f"flowName in the stack file is '{declared}', but the flow's name is '{source.name}'; remove flowName"
        raise SourceError(message)
    name = source.name or str(declared)
    if description is not None and description.parameter_schema is not None:
        return _described(root, name, description.parameter_schema, source)
    schema, notes = flow_schema.build(source)
    names, variadic = flow_schema.names(source)
    if notes:
        way_out = f'set deployments."{name}/{deployment}".schema in the stack file to register another schema'
        notes = (*notes[:-1], f"{notes[-1]}; {way_out}")
    return Flow(
        name=name,
        description=source.description,
        root=source.root,
        schema=schema,
        parameters=names,
        variadic=variadic,
        notes=(*source.notes, *notes),
    )


def described_names(descriptions: Mapping[str, Description]) -> dict[str, str]:
    """Return `<flow>/<deployment>` as Prefect names it -> the key in the stack file."""
    return {
        f"{each.flow_name}/{key.rpartition('/')[2]}" if each.flow_name else key: key
        for key, each in descriptions.items()
    }


def _of(descriptions: Mapping[str, Description], flow: str, deployment: str) -> Description | None:
    """Return what the stack file says of a deployment, under the name of its function or under its real name."""
    key = f"{flow}/{deployment}"
    if key in descriptions:
        return descriptions[key]
    named = [each for name, each in descriptions.items() if each.flow_name and name == f"{each.flow_name}/{deployment}"]
    return named[0] if len(named) == 1 else None


def _described(root: Path, name: str, schema: Mapping[str, Any], source: FlowSource | None = None) -> Flow:
    properties = schema.get("properties", {})
    return Flow(
        name=name,
        description=source.description if source else None,
        root=root,
        schema={"title": "Parameters", "type": "object", "properties": properties, **schema},
        parameters=tuple(properties),
        notes=source.notes if source else (),
    )
