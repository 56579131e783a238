"""The schema of a flow that uses models of `pydantic.v1`, made as Prefect makes it."""

from __future__ import annotations

import inspect
import sys
import typing
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from infra.flow_signature.unknown import Cause, Unknown


def uses_v1(parameters: Iterable[inspect.Parameter]) -> bool:
    """Whether a parameter has a type of `pydantic.v1`, which then describes all parameters."""
    if sys.version_info >= (3, 14):
        return False
    kinds = [kind for each in parameters for kind in (each.annotation, *typing.get_args(each.annotation))]
    return any(_is_v1(kind) for kind in kinds)


def model_class() -> type | None:
    """Return the class of its models; None if no flow has imported it, which takes a tenth of a second."""
    model = getattr(sys.modules.get("pydantic.v1"), "BaseModel", None)
    return model if isinstance(model, type) else None


def _is_v1(kind: Any) -> bool:
    model = model_class()
    if model is None:
        return False
    if isinstance(kind, model) or (inspect.isclass(kind) and _is_subclass(kind, model)):
        return True
    return str(getattr(kind, "__module__", "")).startswith("pydantic.v1.types")


def _is_subclass(kind: Any, base: type) -> bool:
    try:
        return issubclass(kind, base)
    except TypeError:
        return False


def schema_v1(title: str, fields: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Return the schema of a model with these fields: name -> type and field."""
    from pydantic.v1 import create_model  # noqa: PLC0415

    class Config:
        arbitrary_types_allowed = True

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = create_model(title, __config__=Config, **dict(fields))  # type: ignore[call-overload]
        result: dict[str, Any] = model.schema(by_alias=True)
        return result


def field_v1(parameter: inspect.Parameter, position: int, description: str | None) -> tuple[str, Any, Any]:
    """Return name, type and field of a parameter."""
    from pydantic.v1 import BaseModel, Field  # noqa: PLC0415

    taken = hasattr(BaseModel, parameter.name)
    empty = inspect.Parameter.empty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        field = Field(
            default=... if parameter.default is empty else parameter.default,
            title=parameter.name,
            description=description,
            alias=parameter.name if taken else None,
            position=position,
        )
    kind = Any if parameter.annotation is empty else parameter.annotation
    return f"{parameter.name}__" if taken else parameter.name, kind, field


def causes_in(annotation: Any) -> tuple[Cause, ...]:
    """Return why parts of an annotation are unknown."""
    if isinstance(annotation, Unknown):
        return annotation.causes
    return tuple(cause for part in typing.get_args(annotation) for cause in causes_in(part))
