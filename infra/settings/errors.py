"""From what pydantic says about a stack file to what a person can act on."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.alias_generators import to_camel

from infra.naming import PROJECT


class SettingsError(Exception):
    """The stack file is wrong. Its text names the file, every wrong key, the reason and the remedy."""


def no_place_for_a_secret(key: str) -> str:
    """Return the refusal of a secret under a key whose value everybody sees who may look at Prefect or Kubernetes."""
    return (
        f"{PROJECT}:{key}: holds a secret, and it would stand in clear in Prefect or Kubernetes: remove it with"
        f" `pulumi config rm {key}` and refer to a Kubernetes Secret or a Prefect secret block instead"
    )


def sentence(problem: Any, values: Mapping[str, Any], model: type[pydantic.BaseModel]) -> str:
    """Return what is wrong with one key.

    Args:
        problem: one of pydantic's `ErrorDetails`.
        values: the whole stack file, to tell keys that were written from arms that pydantic adds.
        model: what the file was checked against.

    """
    path = [str(part) for part in problem["loc"] if part != "[key]"]
    key = f"{PROJECT}:" + ".".join(_without_arms(path, values))
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{key}: there is no such key{_other_kind(model, path) or _known_here(model, path)}"
    if kind == "missing":
        return f"{key}: is missing; set it with `pulumi config set --path '{key}' VALUE`"
    if kind == "union_tag_not_found":
        return f"{key}: needs the key {problem['ctx']['discriminator']} to say which kind it is"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        discriminator = context["discriminator"].strip("'")
        return f"{key}: {discriminator} is '{context['tag']}'; use one of {context['expected_tags']}"
    if kind == "tuple_type":
        return f"{key}: needs a list, such as [a, b]"
    message = problem["msg"].removeprefix("Value error, ")
    # About several sections together: the message begins with the key that it is most about.
    return f"{key}: {message}" if path else f"{PROJECT}:{message}"


def _without_arms(path: list[str], values: Any) -> list[str]:
    """Pydantic puts a union's arm into the path; the person never wrote it there."""
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
    known = [to_camel(name) for name in _sections(model, path[:-1])[0].model_fields]
    near = difflib.get_close_matches(path[-1], known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}"


def _other_kind(model: type[pydantic.BaseModel], path: list[str]) -> str:
    """Return what to say about a key that only sections of another kind have, or nothing."""
    if len(path) < 3:
        return ""
    *before, kind, key = path
    arms = _sections(model, before)
    for name in {name for arm in arms for name in arm.model_fields if kind in _literals(arm, name)}:
        for other in arms:
            if key in map(to_camel, other.model_fields):
                where, there = to_camel(name), _literals(other, name)[0]
                return f" with {where} {kind}: leave it out, or set {where} to {there}"
    return ""


def _literals(model: type[pydantic.BaseModel], name: str) -> tuple[Any, ...]:
    return typing.get_args(model.model_fields[name].annotation) if name in model.model_fields else ()


def _sections(model: type[pydantic.BaseModel], path: list[str]) -> list[type[pydantic.BaseModel]]:
    """Return the models of the section that a path leads to: several where it is of one kind or another."""
    here = [model]
    for part in path:
        fields = [field for each in here for name, field in each.model_fields.items() if to_camel(name) == part]
        arms = [each for each in here if any(part in typing.get_args(f.annotation) for f in each.model_fields.values())]
        # Otherwise it is the key of a mapping or a place in a list, which `_models` has passed already.
        here = [found for field in fields for found in _models(field.annotation)] or arms or here
    return here


def _models(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models(argument)]
