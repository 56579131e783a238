"""Placeholders in prefect.yaml: which are replaced now, which stay for the worker, which have no meaning here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.prefect_yaml.document import Place, strings

_PLACEHOLDER: Final = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")

_FOR_LATER: Final = ("prefect.blocks.", "prefect.variables.", "ctx.")
"""What the worker replaces in job variables when a run starts."""

_UNTOUCHED: Final = ("build", "push", "pull")
"""Sections whose placeholders are not ours: a pull step is templated where it runs."""

_CAN_BE_SECRET: Final = frozenset({"description", "job_variables", "parameters", "schedules", "tags", "version"})
"""Names and the like are what an object is found by."""

_PREFECT_KIND: Final = "__prefect_kind"
"""Key of a value that Prefect makes when a trigger fires, such as a Jinja template."""


@dataclass(kw_only=True)
class Rendered:
    """A deployment whose placeholders are settled.

    Attributes:
        values: the deployment.
        secret: fields of it that hold a value from the environment now; a trigger as `triggers.<index>`.
        complaints: place and sentence of every placeholder that cannot be settled.

    """

    values: dict[str, Any]
    secret: set[str] = field(default_factory=set)
    complaints: list[tuple[Place, str]] = field(default_factory=list)


def render(deployment: Mapping[str, Any], environment: Mapping[str, str]) -> Rendered:
    """Settle the placeholders of one deployment.

    `{{ $NAME }}` becomes the environment variable's value, which counts as a secret. References to blocks and
    variables stay in job variables, where the worker resolves them. The image that a build step would give is the
    stack's own image, the default of the work pool: the job variable is left out.
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
    """Tell whether this is the job variable `image` with the output of a build step."""
    if place != ("work_pool", "job_variables", "image") or not isinstance(value, str):
        return False
    found = _PLACEHOLDER.fullmatch(value.strip())
    return found is not None and found[1].endswith((".image", ".image_name")) and "$" not in found[1]


def _replacer(place: Place, rendered: Rendered, environment: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("$"):
            value = environment.get(name[1:])
            if value is None:
                text = f"the environment variable {name[1:]} is not set; set it where pulumi runs"
                rendered.complaints.append((place, text))
                return found[0]
            rendered.secret |= _secret_field(place)
            return value
        if not _stays(place, name):
            rendered.complaints.append((place, _meaningless(name, place)))
        return found[0]

    return replace


def _secret_field(place: Place) -> set[str]:
    if place[0] == "triggers":
        return {f"triggers.{place[1]}"} if place[2] in ("parameters", "job_variables") else set()
    return {str(part) for part in place[:2]} & _CAN_BE_SECRET


def _stays(place: Place, name: str) -> bool:
    """Tell whether a placeholder is somebody else's: the worker's, or that of the event that fires a trigger."""
    if place[0] == "triggers" and place[2] == "parameters":
        return True
    job_variables = place[:2] == ("work_pool", "job_variables") or place[2:3] == ("job_variables",)
    return job_variables and name.startswith(_FOR_LATER)


def _meaningless(name: str, place: Place) -> str:
    if place[0] == "triggers" and not name.startswith(_FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in a trigger's parameters only; write the value"
    if name.startswith(_FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in job_variables only; move it there or write the value"
    return (
        f"'{{{{ {name} }}}}' is the output of a build or push step, and there are none here, because the image is "
        "a Pulumi resource; write the value, or {{ $NAME }} for an environment variable"
    )


def has_placeholder(value: Any) -> bool:
    """Tell whether something is left for the worker, or for the event that fires a trigger."""
    if isinstance(value, dict) and (_PREFECT_KIND in value or any(has_placeholder(item) for item in value.values())):
        return True
    return any("{{" in text or "{%" in text for _, text in strings(value))
