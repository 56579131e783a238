"""Error messages for a stack file: key, reason and remedy instead of pydantic's own text."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pydantic
from pydantic.alias_generators import to_camel

from infra import project

_WORDS: Final[Mapping[str, str]] = {
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, such as {key: value}",
    "model_type": "must be a mapping, such as {key: value}",
    "string_type": "must be text: put a number, or a word such as true, in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "too_short": "must have at least one element",
}
"""Type of a mistake in pydantic -> what is right."""

_FOLLOWS: Final = ("default_factory_not_called", "too_short")
"""Types of mistakes that pydantic adds to another one."""


class SettingsError(Exception):
    """The stack file is wrong. Its text names the file, every wrong key, the reason and the remedy."""


def invalid(stack: str, problems: Iterable[str]) -> str:
    """Return the text of a `SettingsError`.

    Args:
        stack: the stack's name.
        problems: key without the project's prefix, and sentence, for each mistake.

    """
    lines = dict.fromkeys(f"  {project.NAME}:{problem}" for problem in problems)
    return "\n".join([f"Pulumi.{stack}.yaml is not valid, so nothing was changed:", *lines])


def no_place_for_a_secret(key: str) -> str:
    """Return the error for a secret under a key whose value everyone with access to Prefect or Kubernetes can read."""
    return (
        f"{project.NAME}:{key}: holds a secret, which would be readable in Prefect or Kubernetes: remove it with"
        f" `pulumi config rm {key}` and refer to a Kubernetes Secret or a Prefect secret block instead"
    )


def sentences(problems: Iterable[Any], values: Mapping[str, Any], model: type[pydantic.BaseModel]) -> list[str]:
    """Return the sentence of each of pydantic's mistakes, without those that only follow from another one.

    Args:
        problems: pydantic's `ErrorDetails`.
        values: the whole stack file.
        model: what the file was checked against.

    """
    problems = list(problems)
    causes = [each for each in problems if each["type"] not in _FOLLOWS]
    return [sentence(each, values, model) for each in problems if not _follows(each, causes)]


def _follows(problem: Any, causes: Iterable[Any]) -> bool:
    if problem["type"] == "too_short":
        place = problem["loc"]
        return any(each["loc"][: len(place)] == place for each in causes)
    return bool(problem["type"] in _FOLLOWS)


def sentence(problem: Any, values: Mapping[str, Any], model: type[pydantic.BaseModel]) -> str:
    """Return the key, without the project's prefix, and what is wrong with it.

    Args:
        problem: one of pydantic's `ErrorDetails`.
        values: the whole stack file, to tell keys in it from union arms that pydantic adds to a path.
        model: what the file was checked against.

    """
    path = [str(part) for part in problem["loc"] if part != "[key]"]
    key = ".".join(_without_arms(path, values))
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{key}: there is no such key{_other_kind(model, path) or _known_here(model, path)}"
    if kind == "missing":
        return f"{key}: is missing; set it with `pulumi config set --path '{project.NAME}:{key}' VALUE`"
    if kind == "union_tag_not_found":
        return f"{key}: needs the key {problem['ctx']['discriminator']}, which selects the kind"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        discriminator = context["discriminator"].strip("'")
        return f"{key}: {discriminator} is '{context['tag']}'; use one of {context['expected_tags']}"
    if kind in _WORDS:
        return f"{key}: {_WORDS[kind]}"
    message = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    # A check across sections has no path: its message begins with the key.
    return f"{key}: {message}" if path else message


def _without_arms(path: list[str], values: Any) -> list[str]:
    """Remove the arms of unions, which pydantic adds to a path and the stack file does not have."""
    kept: list[str] = []
    here: Any = values
    for part in path:
        if isinstance(here, Mapping) and part not in here and part in here.values():
            continue
        kept.append(part)
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, list | tuple) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            here = None
    return kept


def _known_here(model: type[pydantic.BaseModel], path: list[str]) -> str:
    known = [field.alias or name for name, field in _sections(model, path[:-1])[0].model_fields.items()]
    near = difflib.get_close_matches(path[-1], known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}"


def _other_kind(model: type[pydantic.BaseModel], path: list[str]) -> str:
    """Return a hint for a key that only sections of another kind have, or nothing."""
    if len(path) < 3:
        return ""
    *before, kind, key = path
    arms = _sections(model, before)
    for name in {name for arm in arms for name in arm.model_fields if kind in _literals(arm, name)}:
        for other in arms:
            if key in map(to_camel, other.model_fields):
                where, there = to_camel(name), _literals(other, name)[0]
                return f" with {where} {kind}: remove it, or set {where} to {there}"
    return ""


def _literals(model: type[pydantic.BaseModel], name: str) -> tuple[Any, ...]:
    return typing.get_args(model.model_fields[name].annotation) if name in model.model_fields else ()


def _sections(model: type[pydantic.BaseModel], path: list[str]) -> list[type[pydantic.BaseModel]]:
    """Return the models of the section at a path: several where it is a union."""
    here = [model]
    for part in path:
        fields = [field for each in here for field in each.model_fields.values() if field.alias == part]
        arms = [each for each in here if any(part in typing.get_args(f.annotation) for f in each.model_fields.values())]
        # Otherwise the part is a key of a mapping or an index of a list: `_models` has skipped that level already.
        here = [inner for field in fields for inner in _models(field.annotation)] or arms or here
    return here


def _models(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models(argument)]
