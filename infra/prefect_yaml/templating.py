"""Placeholders in prefect.yaml: replaced now, left for the worker, or an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.prefect_yaml.document import Place, strings

_PLACEHOLDER: Final = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")

_FOR_LATER: Final = ("prefect.blocks.", "prefect.variables.", "ctx.")
"""Prefixes that the worker replaces in job variables when a run starts."""

_UNTOUCHED: Final = ("build", "push", "pull")
"""Sections whose placeholders are not touched: a pull step is templated where it runs."""

_CAN_BE_SECRET: Final = frozenset({"description", "job_variables", "parameters", "schedules", "tags", "version"})
"""Fields that may become a Pulumi secret. Names may not: they identify the object."""

_PREFECT_KIND: Final = "__prefect_kind"
"""Key of a value that Prefect computes when a trigger fires, such as a Jinja template."""


@dataclass(kw_only=True)
class Rendered:
    """A deployment with its placeholders replaced.

    Attributes:
        values: the deployment.
        secret_fields: its fields that now hold a value from the environment; a trigger as `triggers.<index>`.
        errors: place and message of every placeholder that cannot be replaced.

    """

    values: dict[str, Any]
    secret_fields: set[str] = field(default_factory=set)
    errors: list[tuple[Place, str]] = field(default_factory=list)


def render(deployment: Mapping[str, Any], environment: Mapping[str, str]) -> Rendered:
    """Replace the placeholders of one deployment.

    `{{ $NAME }}` becomes the environment variable's value, which is treated as a secret. References to blocks and
    variables stay in job variables, where the worker resolves them. A job variable with the image of a build step is
    removed: the stack's own image, the default of the work pool, takes its place.
    """
    rendered = Rendered(values={})
    for key, value in deployment.items():
        if key in _UNTOUCHED:
            rendered.values[key] = value
        else:
            rendered.values[key] = _walk(value, (key,), rendered, environment)
    return rendered


def _walk(value: Any, place: Place, rendered: Rendered, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _walk(item, (*place, key), rendered, environment)
            for key, item in value.items()
            if not _built_image((*place, key), item)
        }
    if isinstance(value, list):
        return [_walk(item, (*place, index), rendered, environment) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(_replacer(place, rendered, environment), value)
    return value


def _built_image(place: Place, value: Any) -> bool:
    """Return whether this is the job variable `image` with the output of a build step."""
    if place != ("work_pool", "job_variables", "image") or not isinstance(value, str):
        return False
    match = _PLACEHOLDER.fullmatch(value.strip())
    return match is not None and match[1].endswith((".image", ".image_name")) and "$" not in match[1]


def _replacer(place: Place, rendered: Rendered, environment: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("$"):
            value = environment.get(name[1:])
            if value is None:
                text = f"the environment variable {name[1:]} is not set; set it where Pulumi runs"
                rendered.errors.append((place, text))
                return match[0]
            rendered.secret_fields |= _secret_field(place)
            return value
        if not _stays(place, name):
            rendered.errors.append((place, _error(name, place)))
        return match[0]

    return replace


def _secret_field(place: Place) -> set[str]:
    if place[0] == "triggers":
        return {f"triggers.{place[1]}"} if place[2] in ("parameters", "job_variables") else set()
    return {str(part) for part in place[:2]} & _CAN_BE_SECRET


def _stays(place: Place, name: str) -> bool:
    """Return whether a placeholder is left for the worker or for the event that fires a trigger."""
    if place[0] == "triggers" and place[2] == "parameters":
        return True
    job_variables = place[:2] == ("work_pool", "job_variables") or place[2:3] == ("job_variables",)
    return job_variables and name.startswith(_FOR_LATER)


def _error(name: str, place: Place) -> str:
    if place[0] == "triggers" and not name.startswith(_FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in a trigger's parameters only; write the value"
    if name.startswith(_FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in job_variables only; move it there or write the value"
    return (
        f"'{{{{ {name} }}}}' is the output of a build or push step, and there are none, because Pulumi builds the "
        "image; write the value, or {{ $NAME }} for an environment variable"
    )


def has_placeholder(value: Any) -> bool:
    """Return whether a value has a placeholder left for the worker or for the event that fires a trigger."""
    if isinstance(value, dict) and (_PREFECT_KIND in value or any(has_placeholder(item) for item in value.values())):
        return True
    return any("{{" in text or "{%" in text for _, text in strings(value))
