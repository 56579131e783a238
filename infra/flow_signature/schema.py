"""The JSON schema of a flow's parameters, equal to the one that `prefect deploy` registers, without importing the flow.

The steps are those of `prefect.utilities.callables.parameter_schema` of the locked Prefect, applied to a signature that
is read from the source; a test compares the two. Importing Prefect would add two seconds to every preview, and Prefect
imports the flow with all of its libraries.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from typing import Any

import pydantic
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from infra.flow_signature.scope import Scope, names_read
from infra.flow_signature.source import FlowSource

_KEPT = ("title", "type", "properties", "required", "definitions")
_SECTION = re.compile(r"^\s*(args|arguments|params|parameters)\s*:", re.IGNORECASE | re.MULTILINE)

Json = dict[str, Any]


def build(source: FlowSource) -> tuple[Json, tuple[str, ...]]:
    """Return the schema, and a note for each parameter whose type is unknown without an import.

    Args:
        source: the flow function.

    """
    scope = Scope(source.path, source.root)
    parameters, notes = _signature(source, scope)
    return _schema(parameters, _descriptions(source.docstring)), tuple(notes)


def names(source: FlowSource) -> tuple[list[str], bool]:
    """Return the names of the flow's parameters, and whether it accepts others (`**kwargs`)."""
    args = source.function.args
    every = [*args.posonlyargs, *args.args, *([args.vararg] if args.vararg else []), *args.kwonlyargs]
    return [arg.arg for arg in every if arg.arg not in ("self", "cls")], args.kwarg is not None


def _signature(source: FlowSource, scope: Scope) -> tuple[list[inspect.Parameter], list[str]]:
    args = source.function.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    kinds: list[Any] = [inspect.Parameter.POSITIONAL_ONLY] * len(args.posonlyargs)
    kinds += [inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(args.args)
    rows: list[tuple[ast.arg, ast.expr | None, Any]] = list(zip(positional, defaults, kinds, strict=True))
    if args.vararg:
        rows.append((args.vararg, None, inspect.Parameter.VAR_POSITIONAL))
    rows += [
        (arg, default, inspect.Parameter.KEYWORD_ONLY)
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    if args.kwarg:
        rows.append((args.kwarg, None, inspect.Parameter.VAR_KEYWORD))
    parameters, notes = [], []
    for arg, default, kind in rows:
        before = set(scope.foreign)
        parameter = inspect.Parameter(
            arg.arg, kind, annotation=_annotation(arg, scope), default=_default(default, scope)
        )
        parameters.append(parameter)
        used = {name for part in (arg.annotation, default) if part for name in names_read(part)}
        unknown = (scope.foreign - before) | (scope.foreign & used)
        if unknown:
            notes.append(
                f"parameter '{arg.arg}' is registered without its type, because only an import of "
                f"{', '.join(sorted(unknown))} would show it"
            )
    return parameters, notes


def _annotation(arg: ast.arg, scope: Scope) -> Any:
    if arg.annotation is None:
        return inspect.Parameter.empty
    try:
        return scope.annotation(arg.annotation)
    except Exception:  # noqa: BLE001  the project's own source may raise anything
        scope.foreign.add(ast.unparse(arg.annotation))
        return inspect.Parameter.empty


def _default(default: ast.expr | None, scope: Scope) -> Any:
    if default is None:
        return inspect.Parameter.empty
    try:
        return scope.value(default)
    except Exception:  # noqa: BLE001  the project's own source may raise anything
        scope.foreign.add(ast.unparse(default))
        return None


def _descriptions(docstring: str | None) -> dict[str, str]:
    if not docstring or not _SECTION.search(docstring):
        return {}
    # A quarter of a second to import, only for flows that describe their parameters.
    from griffe import Docstring, DocstringSectionKind, Parser, parse  # noqa: PLC0415

    sections = parse(Docstring(docstring), Parser.google, warnings=False)
    return {
        parameter.name: parameter.description
        for section in sections
        if section.kind is DocstringSectionKind.parameters
        for parameter in section.value
    }


def _schema(parameters: list[inspect.Parameter], descriptions: dict[str, str]) -> Json:
    fields: dict[str, Any] = {}
    for position, parameter in enumerate(parameters):
        # A field must not hide an attribute of pydantic's own models.
        taken = hasattr(pydantic.BaseModel, parameter.name)
        name = f"{parameter.name}__" if taken else parameter.name
        kind = Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation
        field = _field(parameter, position, descriptions, parameter.name if taken else None)
        if name in ("self", "cls"):
            continue
        try:
            _model_schema("CheckParameter", {name: (kind, field)})
        except (ValueError, TypeError, PydanticUserError):
            kind = Any
        fields[name] = (kind, field)
    schema = _model_schema("Parameters", fields)
    return {key: schema[key] for key in _KEPT if key in schema}


def _field(parameter: inspect.Parameter, position: int, descriptions: dict[str, str], alias: str | None) -> Any:
    declared = parameter.default if isinstance(parameter.default, FieldInfo) else None
    default = declared.default if declared else parameter.default
    extra: dict[str, Any] = {}
    if declared and isinstance(declared.json_schema_extra, dict):
        extra.update(declared.json_schema_extra)
    extra.setdefault("position", position)
    return pydantic.Field(
        default=... if default is inspect.Parameter.empty else default,
        title=parameter.name,
        description=(declared.description if declared else None) or descriptions.get(parameter.name),
        alias=alias,
        json_schema_extra=extra,
    )


class _Generator(GenerateJsonSchema):
    """Accepts anything for a class that pydantic does not know, as Prefect's own generator does."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:  # noqa: ARG002
        return {}


def _model_schema(title: str, fields: dict[str, Any]) -> Json:
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    with warnings.catch_warnings():
        # A default that JSON cannot represent is left out, as Prefect does.
        warnings.simplefilter("ignore")
        model = pydantic.create_model(title, __config__=config, **fields)
        try:
            adapter = pydantic.TypeAdapter(model)
        except pydantic.PydanticUndefinedAnnotation as error:
            raise TypeError(error.message) from None
        schema = adapter.json_schema(by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Generator)
    if "$defs" in schema:
        schema["definitions"] = schema["$defs"]
    return schema
