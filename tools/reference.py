"""docs/settings.md: every key that a stack file may hold, from the settings' own types and docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import pydantic
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticUndefined

from infra.settings import SECRETS, PodExtras, Settings
from tools.paths import PROJECT, ROOT

PATH: Final = ROOT / "docs" / "settings.md"

_HEAD: Final = f"""\
# Settings

Every key of `Pulumi.<stack>.yaml`, below `config:`, with the prefix `{PROJECT}:` on the first part. Unset keys have
their default; an unknown key is refused, with the closest known key. Generated from `infra/settings/` by
`make settings-reference`.

Set secrets with `pulumi config set --secret <key>`: {", ".join(f"`{name}`" for name in SECRETS)}, and the keys
that `image.buildSecrets` names.
"""


def text() -> str:
    """Return the whole page."""
    sections = [_HEAD]
    for title, model in _sections():
        sections.append(f"## {title}\n\n{_sentence(model)}\n\n{_table(model)}\n")
    return "\n".join(sections)


def write() -> None:
    """Write it."""
    PATH.write_text(text())


def _sections() -> Iterator[tuple[str, type[pydantic.BaseModel]]]:
    """Yield title and model of every section, each model once: where it is met first."""
    visited: set[type[pydantic.BaseModel]] = set()
    ahead: list[tuple[str, str, type[pydantic.BaseModel]]] = [("", "Top level", Settings)]
    while ahead:
        path, title, model = ahead.pop(0)
        if model in visited:
            continue
        visited.add(model)
        yield title, model
        for name, field in model.model_fields.items():
            inner = list(_models(field.annotation))
            for each in inner:
                key = f"{path}.{to_camel(name)}".lstrip(".") + _many(field.annotation)
                arm = f" ({_arm(each)})" if len(inner) > 1 and _arm(each) else ""
                ahead.append((key, f"`{key}`{arm}", each))


def _many(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return "".join(dict.fromkeys(map(_many, typing.get_args(annotation))))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return ".<name>"
    if origin in (list, tuple, Sequence):
        return "[]"
    return ""


def _arm(model: type[pydantic.BaseModel]) -> str:
    for name, field in model.model_fields.items():
        if typing.get_origin(field.annotation) is Literal and name in ("builder", "mode", "kind", "store", "type"):
            return f"{to_camel(name)}: {typing.get_args(field.annotation)[0]}"
    return ""


def _table(model: type[pydantic.BaseModel]) -> str:
    notes = _notes(model)
    inherited = set(PodExtras.model_fields) if issubclass(model, PodExtras) and model is not PodExtras else set()
    rows = [
        f"| `{field.alias}` | {_type(field.annotation)} | {_default(field)} | {_note(field, notes.get(name))} |"
        for name, field in model.model_fields.items()
        if name not in inherited
    ]
    if inherited:
        rows.append("| | | | And every key of [`pods`](#pods), for these pods alone. |")
    return "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows])


def _note(field: pydantic.fields.FieldInfo, docstring: str | None) -> str:
    """Return the docstring below the field, or the help of the Dask knob that it stands for."""
    return docstring or (field.description or "").replace("|", "\\|")


def _default(field: pydantic.fields.FieldInfo) -> str:  # noqa: PLR0911  a table of kinds
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None:
        return "-"
    if isinstance(value, pydantic.BaseModel):
        arm = _arm(type(value))
        return f"`{{{arm}}}`" if arm else "-"
    if isinstance(value, Mapping | list | tuple) and not value:
        return "none"
    if isinstance(value, Mapping):
        return "`{" + ", ".join(f"{key}: {{}}" for key in value) + "}`"
    if isinstance(value, tuple):
        return "`" + ", ".join(_short(each) for each in value) + "`"
    return f"`{_short(value)}`"


def _short(value: Any) -> str:
    if isinstance(value, pydantic.BaseModel):
        inner = ", ".join(f"{to_camel(name)}: {_short(getattr(value, name))}" for name in type(value).model_fields)
        return f"{{{inner}}}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    return str(value)


def _type(annotation: Any) -> str:  # noqa: PLR0911  a table of kinds
    if annotation is None or annotation is type(None):
        return ""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in map(_type, arguments) if part]
        return "section" if set(parts) == {"section"} else ", ".join(dict.fromkeys(parts))
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if _many(annotation) == ".<name>":
        return f"mapping of {_plural(_type(arguments[1]))}"
    if _many(annotation) == "[]":
        return f"list of {_plural(_type(arguments[0]))}"
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return "section"
    return _NAMES.get(annotation, "as Prefect or Kubernetes writes it")


_NAMES: Final[Mapping[Any, str]] = {str: "text", int: "number", float: "number", bool: "`true`, `false`"}


def _plural(name: str) -> str:
    return {"text": "texts", "number": "numbers", "section": "sections"}.get(name, name)


def _models(annotation: Any) -> Iterable[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models(argument)]


def _sentence(model: type[pydantic.BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _notes(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return field -> the docstring that stands below it."""
    notes: dict[str, str] = {}
    for base in reversed([each for each in model.__mro__ if issubclass(each, pydantic.BaseModel)]):
        if base.__module__.startswith("pydantic"):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        if not isinstance(definition, ast.ClassDef):
            continue
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                words = ast.literal_eval(after.value) if isinstance(after.value, ast.Constant) else ""
                notes[field.target.id] = " ".join(str(words).split()).replace("|", "\\|")
    return notes
