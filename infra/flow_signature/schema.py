"""The JSON schema of a flow's parameters, equal to the one that `prefect deploy` registers, without importing the flow.

The steps are those of `prefect.utilities.callables.parameter_schema` of the locked Prefect, applied to a signature that
is read from the source; a test compares the two. Importing Prefect would add two seconds to every preview, and Prefect
imports the flow with all of its libraries.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import warnings
from copy import deepcopy
from typing import Any

import pydantic
import pydantic_core
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from infra.flow_signature.budget import LARGEST, Budget, check_order, every
from infra.flow_signature.files import SourceError
from infra.flow_signature.machine import Frame
from infra.flow_signature.reading import Reading
from infra.flow_signature.schema_v1 import causes_in, field_v1, schema_v1, uses_v1
from infra.flow_signature.source import FlowSource
from infra.flow_signature.unknown import Cause, Undecidable, Unknown, causes_of_schema, explain

_KEPT = ("title", "type", "properties", "required", "definitions")
_SECTION = re.compile(r"^\s*(args|arguments|params|parameters)\s*:", re.IGNORECASE | re.MULTILINE)

Json = dict[str, Any]


def build(source: FlowSource) -> tuple[Json, tuple[str, ...]]:
    """Return the schema, and a note for each parameter whose type or default is unknown without an import.

    Args:
        source: the flow.

    Raises:
        SourceError: Prefect refuses the parameters.

    """
    if not source.schema:
        source.schema.append(_built(source))
    schema, notes = source.schema[0]
    return deepcopy(schema), notes


def _built(source: FlowSource) -> tuple[Json, tuple[str, ...]]:
    try:
        with source.reading.active():
            schema, notes = _Builder(source).schema()
        json.dumps([source.name, source.description, schema], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        text = f"a text of '{source.function}' has half of a character (\\ud800 to \\udfff), which JSON cannot hold"
        raise SourceError(f"{text}; write the whole one") from None
    except (SourceError, Undecidable):
        raise
    except Exception as error:  # noqa: BLE001  the project's own source may raise anything
        text = " ".join(str(error).split())[:200]
        message = f"the parameters of '{source.function}' are not valid: {text or type(error).__name__}; correct them"
        raise SourceError(message) from None
    return schema, notes


def names(source: FlowSource) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the flow's parameters, and those of `*args` and `**kwargs` among them."""
    parameters = [each for each in source.signature.parameters.values() if each.name not in ("self", "cls")]
    variadic = [each.name for each in parameters if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return tuple(each.name for each in parameters), tuple(variadic)


class _Builder:
    """Builds the schema of one flow."""

    def __init__(self, source: FlowSource) -> None:
        self._source = source
        self._reading: Reading = source.reading
        self._descriptions = _descriptions(source.docstring)
        self._notes: list[str] = []

    def schema(self) -> tuple[Json, tuple[str, ...]]:
        parameters = _evaluated(self._source)
        first = uses_v1(parameters)
        fields: dict[str, Any] = {}
        for position, declared in enumerate(parameters):
            parameter, unknown_default = self._with_default(declared)
            make = self._field_v1 if first else self._field
            name, kind, field = make(parameter, position)
            if name in ("self", "cls"):
                continue
            causes_of_schema.clear()
            if first:
                causes_of_schema.update(dict.fromkeys(causes_in(kind)))
            try:
                self._model("CheckParameter", {name: (kind, field)}, first=first)
            except Undecidable as outcome:
                kind = outcome.unknown
                causes_of_schema.update(dict.fromkeys(outcome.unknown.causes))
            except (ValueError, TypeError, PydanticInvalidForJsonSchema):
                kind = Any
            fields[name] = (kind, field)
            self._note(parameter.name, tuple(causes_of_schema), unknown_default)
        schema = self._model("Parameters", fields, first=first)
        return _finite({key: schema[key] for key in _KEPT if key in schema}), tuple(self._notes)

    def _model(self, title: str, fields: dict[str, Any], *, first: bool) -> Json:
        if not first:
            return _model_schema(title, fields, self._reading)
        return schema_v1(title, fields)

    def _field(self, parameter: inspect.Parameter, position: int) -> tuple[str, Any, Any]:
        # A field must not hide an attribute of pydantic's own models.
        taken = hasattr(pydantic.BaseModel, parameter.name)
        kind = Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation
        field = _field(parameter, position, self._descriptions, parameter.name if taken else None)
        return f"{parameter.name}__" if taken else parameter.name, kind, field

    def _field_v1(self, parameter: inspect.Parameter, position: int) -> tuple[str, Any, Any]:
        if isinstance(parameter.default, _LeftOut):
            parameter = parameter.replace(default=None)
        return field_v1(parameter, position, self._descriptions.get(parameter.name))

    def _with_default(self, parameter: inspect.Parameter) -> tuple[inspect.Parameter, tuple[Cause, ...]]:
        """Return the parameter with a default that is left out where it is unknown, and why it is unknown."""
        default = parameter.default
        if default is inspect.Parameter.empty:
            return parameter, ()
        inner = default.default if isinstance(default, FieldInfo) else default
        causes = _causes(inner, self._reading)
        if not causes:
            return parameter, ()
        if isinstance(default, FieldInfo) and not isinstance(self._reading.known(default), Unknown):
            kept = pydantic.Field(
                default=_LEFT_OUT, description=default.description, json_schema_extra=default.json_schema_extra
            )
            return parameter.replace(default=kept), causes
        return parameter.replace(default=_LEFT_OUT), causes

    def _note(self, name: str, unknown_type: tuple[Cause, ...], unknown_default: tuple[Cause, ...]) -> None:
        what = [text for text, causes in (("type", unknown_type), ("default", unknown_default)) if causes]
        if what:
            because = explain([*unknown_type, *unknown_default])
            self._notes.append(f"parameter '{name}' is registered without its {' and '.join(what)}, because {because}")


def _causes(default: Any, reading: Reading) -> tuple[Cause, ...]:
    """Return why a default cannot be registered; nothing if it can."""
    reading.budget = Budget()
    try:
        for item in every(default, LARGEST):
            check_order(item)
        return reading.causes(default)
    except Undecidable as outcome:
        return outcome.unknown.causes


class _LeftOut:
    """A default that JSON cannot represent, so that the parameter is optional and has no default in the schema."""


_LEFT_OUT = _LeftOut()


def _evaluated(source: FlowSource) -> list[inspect.Parameter]:
    """Return the parameters with their annotations evaluated, as `inspect.signature(eval_str=True)` does.

    If one annotation raises, Prefect takes the text of all of them.
    """
    parameters = list(source.signature.parameters.values())
    reading = source.reading
    module = reading.modules.get(inspect.unwrap(source.flow.fn).__module__ or "", reading.main)
    frame = Frame("module", module.object.__dict__, module)
    evaluated = []
    for parameter in parameters:
        annotation = parameter.annotation
        if isinstance(annotation, str):
            reading.budget.renew()
            try:
                annotation = reading.evaluate(ast.parse(annotation.strip(), mode="eval").body, frame)
            except (NameError, TypeError):
                return parameters
            except Undecidable as outcome:
                annotation = outcome.unknown
        evaluated.append(parameter.replace(annotation=annotation))
    return evaluated


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


def _generator(reading: Reading) -> type[GenerateJsonSchema]:
    class Generator(GenerateJsonSchema):
        """Accepts anything for a class that pydantic does not know, as Prefect's own generator does."""

        def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:  # noqa: ARG002
            return {}

        def encode_default(self, dft: Any) -> Any:
            if isinstance(dft, _LeftOut):
                raise pydantic_core.PydanticSerializationError("the default is left out")
            if causes := _causes(dft, reading):
                causes_of_schema.update(dict.fromkeys(causes))
                raise pydantic_core.PydanticSerializationError("the default is unknown")
            return super().encode_default(dft)

    return Generator


def _model_schema(title: str, fields: dict[str, Any], reading: Reading) -> Json:
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    with warnings.catch_warnings():
        # A default that JSON cannot represent is left out, as Prefect does.
        warnings.simplefilter("ignore")
        # Prefect's own module has no name that a flow's annotation means, and `builtins` has none either.
        model = pydantic.create_model(title, __config__=config, __module__="builtins", **fields)
        try:
            adapter = pydantic.TypeAdapter(model)
        except pydantic.PydanticUndefinedAnnotation as error:
            raise TypeError(error.message) from None
        try:
            schema = adapter.json_schema(
                by_alias=True, ref_template="#/definitions/{model}", schema_generator=_generator(reading)
            )
        except PydanticUserError as error:
            if error.code == "class-not-fully-defined":
                raise TypeError(str(error)) from None
            raise
    if "$defs" in schema:
        schema["definitions"] = schema["$defs"]
    return schema


def _finite(value: Any) -> Any:
    """Return JSON as Prefect's client sends it: with null for a number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
