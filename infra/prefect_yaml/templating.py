"""Placeholders in prefect.yaml: replaced now, left for the worker, left out, or an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.prefect_yaml.document import Place, strings
from infra.prefect_yaml.keys import DEPLOYMENT, WORK_POOL
from infra.prefect_yaml.placeholder import CONTEXT, FOR_LATER, PLACEHOLDER, VARIABLES, second_pass

_UNTOUCHED: Final = ("build", "push", "pull", "flow_name")
"""Keys that are not rendered here: no image is built by steps, and `render_pull` does the pull steps."""

_CAN_BE_SECRET: Final = frozenset({"description", "job_variables", "parameters", "schedules", "tags", "version"})
"""Fields that may become a Pulumi secret. Names may not: they identify the object."""

_OPTIONAL: Final = frozenset({"description", "tags", "version"})
"""Fields that a deployment can do without, so the output of a build step is left out of them."""

_PREFECT_KIND: Final = "__prefect_kind"
"""Key of a value that Prefect computes when a trigger fires, such as a Jinja template."""

_LEFT_OUT: Final = object()


@dataclass(kw_only=True)
class Rendered:
    """A deployment with its placeholders replaced.

    Attributes:
        values: the deployment.
        secret_fields: its fields that now hold a value from the environment; a trigger as `triggers.<index>`.
        errors: place and message of every placeholder that cannot be replaced.
        warnings: place and message of every value that is left out.

    """

    values: dict[str, Any]
    secret_fields: set[str] = field(default_factory=set)
    errors: list[tuple[Place, str]] = field(default_factory=list)
    warnings: list[tuple[Place, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the values of placeholders come from.

    Attributes:
        environment: for `{{ $NAME }}`.
        variables: Prefect variables that the stack declares, for `{{ prefect.variables.NAME }}` where no worker would
            fill it in; None if the stack is not known.

    """

    environment: Mapping[str, str]
    variables: Mapping[str, Any] | None = field(default_factory=dict)


def render(deployment: Mapping[str, Any], sources: Sources) -> Rendered:
    """Replace the placeholders of one deployment.

    `{{ $NAME }}` becomes the environment variable's value, which is treated as a secret. References to blocks and
    variables stay in job variables, where the worker resolves them; elsewhere a variable's value is filled in. A job
    variable with the image of a build step is removed: the stack's own image, the default of the work pool, takes its
    place.
    """
    rendered = Rendered(values={})
    for key, value in deployment.items():
        read = key in DEPLOYMENT and key not in _UNTOUCHED
        result = _walk(value, (key,), rendered, sources) if read else value
        if result is not _LEFT_OUT:
            rendered.values[key] = result
    return rendered


def render_pull(steps: Any, environment: Mapping[str, str], outputs: Collection[str]) -> Rendered:
    """Replace `{{ $NAME }}` in pull steps, as Prefect does. Everything else is left for the run.

    Args:
        steps: the list of steps, or a single one.
        environment: for `{{ $NAME }}`.
        outputs: ids of build and push steps, which do not exist in a run.

    """
    rendered = Rendered(values={})
    earlier: set[str] = set()
    listed = [steps] if isinstance(steps, dict) and steps else steps or []
    result: list[Any] = []
    for index, step in enumerate(listed if isinstance(listed, list) else []):
        result.append(_pull_step(step, ("pull", index), rendered, environment, (outputs, earlier, index == 0)))
        earlier |= step_ids([step])
    rendered.values["pull"] = result if isinstance(listed, list) else steps
    return rendered


def _pull_step(
    value: Any,
    place: Place,
    rendered: Rendered,
    environment: Mapping[str, str],
    known: tuple[Collection[str], Collection[str], bool],
) -> Any:
    if isinstance(value, dict):
        return {key: _pull_step(item, (*place, key), rendered, environment, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_pull_step(item, (*place, index), rendered, environment, known) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    outputs, earlier, first = known

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        step = name.partition(".")[0].partition("[")[0]
        if name.startswith("$"):
            return _from_environment(match, place, {"pull_steps"}, rendered, environment)
        if step in outputs and step not in earlier:
            rendered.errors.append((place, _output_error(name)))
        elif first and not name.startswith(FOR_LATER):
            text = f"'{{{{ {name} }}}}' is empty in the run, because no step before it has that output; write the value"
            rendered.warnings.append((place, text))
        return match[0]

    return PLACEHOLDER.sub(replace, value)


def step_ids(steps: Any) -> set[str]:
    """Return the ids of build, push or pull steps, by which later steps refer to their outputs."""
    listed = [steps] if isinstance(steps, dict) else steps if isinstance(steps, list) else []
    inputs = [value for step in listed if isinstance(step, dict) for value in step.values() if isinstance(value, dict)]
    return {str(each["id"]) for each in inputs if each.get("id")}


def _walk(value: Any, place: Place, rendered: Rendered, sources: Sources) -> Any:
    if place[:1] == ("work_pool",) and len(place) > 1 and place[1] not in WORK_POOL:
        return value
    if isinstance(value, dict):
        items = {key: _walk(item, (*place, key), rendered, sources) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _LEFT_OUT}
    if isinstance(value, list):
        listed = [_walk(item, (*place, index), rendered, sources) for index, item in enumerate(value)]
        return [item for item in listed if item is not _LEFT_OUT]
    return _text(value, place, rendered, sources) if isinstance(value, str) else value


def _text(value: str, place: Place, rendered: Rendered, sources: Sources) -> Any:
    names = PLACEHOLDER.findall(value)
    outputs = [name for name in names if name not in sources.environment and not name.startswith(("$", *FOR_LATER))]
    if outputs and _can_be_left_out(place):
        if place != ("work_pool", "job_variables", "image"):
            what = f"'{{{{ {outputs[0]} }}}}' is the output of a build or push step, and Pulumi builds the image"
            rendered.warnings.append((place, f"left out, because {what}; write the value, or remove it"))
        return _LEFT_OUT
    whole, variables = PLACEHOLDER.fullmatch(value), sources.variables or {}
    held = sources.environment.get(whole[1].lstrip("$")) if whole else None
    if whole and held and _again(whole[1], held, place, rendered, sources.environment) is None:
        return _LEFT_OUT
    lost = [name for name in names if name.startswith(CONTEXT) and _is_lost(place, whole=bool(whole))]
    if lost:
        text = (
            f"left out, because Prefect replaces '{{{{ {lost[0]} }}}}' by nothing there; write the value, or remove it"
        )
        rendered.warnings.append((place, text))
        if whole:
            return _LEFT_OUT
        value = PLACEHOLDER.sub(lambda match: "" if match[1] in lost else match[0], value)
    if whole and not _is_job_variable(place) and _variable(whole[1]) in variables:
        return variables[_variable(whole[1])]
    return PLACEHOLDER.sub(_replacer(place, rendered, sources), value)


def _variable(placeholder: str) -> str:
    """Return the name of the Prefect variable that a placeholder refers to; empty for another placeholder."""
    return placeholder.removeprefix(VARIABLES) if placeholder.startswith(VARIABLES) else ""


def _is_lost(place: Place, *, whole: bool) -> bool:
    """Return whether `prefect deploy` removes a placeholder of the run's context instead of leaving it for the run."""
    in_trigger = place[0] == "triggers" and _is_job_variable(place)
    in_list = whole and isinstance(place[-1], int) and place[0] != "triggers"
    return place[0] in ("schedule", "schedules") or in_trigger or in_list


def _can_be_left_out(place: Place) -> bool:
    return place[0] in _OPTIONAL or _is_job_variable(place)


def _is_job_variable(place: Place) -> bool:
    own = place[:2] == ("work_pool", "job_variables") and len(place) > 2
    return own or (place[0] == "triggers" and place[2:3] == ("job_variables",) and len(place) > 3)


def _replacer(place: Place, rendered: Rendered, sources: Sources) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        name = match[1]
        variables = sources.variables or {}
        if not _is_job_variable(place) and _variable(name) in variables:
            return str(variables[_variable(name)])
        # Prefect looks up every name in the environment first, also one without a dollar sign.
        if name.startswith("$") or name in sources.environment:
            text = _from_environment(match, place, _secret_field(place), rendered, sources.environment)
            known = name.lstrip("$") in sources.environment
            return (_again(name, text, place, rendered, sources.environment) or "") if known else text
        if _stays(place, name):
            return match[0]
        if _variable(name) and sources.variables is None:
            text = (
                f"'{{{{ {name} }}}}' becomes the value that `variables` of the stack file has for '{_variable(name)}'"
            )
            rendered.warnings.append((place, f"{text}; declare it there"))
        elif name.startswith(CONTEXT) and place[0] != "triggers":
            text = (
                f"'{{{{ {name} }}}}' is registered as it is, because a run replaces it in job_variables only; move it"
            )
            rendered.warnings.append((place, text))
        else:
            rendered.errors.append((place, _error(name, place)))
        return match[0]

    return replace


def _from_environment(
    match: re.Match[str], place: Place, secret_fields: set[str], rendered: Rendered, environment: Mapping[str, str]
) -> str:
    name = match[1].lstrip("$")
    value = environment.get(name)
    if value is None:
        rendered.errors.append((place, f"the environment variable {name} is not set; set it where Pulumi runs"))
        return match[0]
    rendered.secret_fields |= secret_fields
    return value


def _again(name: str, value: str, place: Place, rendered: Rendered, environment: Mapping[str, str]) -> str | None:
    second = second_pass(name.lstrip("$"), value, place, environment)
    if second.warning and (place, second.warning) not in rendered.warnings:
        rendered.warnings.append((place, second.warning))
    return second.text


def _secret_field(place: Place) -> set[str]:
    if place[0] == "triggers":
        return {f"triggers.{place[1]}"} if place[2:3] in (("parameters",), ("job_variables",)) else set()
    return {str(part) for part in place[:2]} & _CAN_BE_SECRET


def _stays(place: Place, name: str) -> bool:
    """Return whether a placeholder is left for the worker or for the event that fires a trigger."""
    if place[0] == "triggers" and place[2:3] == ("parameters",):
        return True
    return _is_job_variable(place) and name.startswith(FOR_LATER)


def _error(name: str, place: Place) -> str:
    if place[0] == "triggers" and not name.startswith(FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in a trigger's parameters only; write the value"
    if _variable(name):
        text = f"'{{{{ {name} }}}}' is a variable that the stack file does not declare"
        return f"{text}; add '{_variable(name)}' to its `variables`, or write the value"
    if name.startswith(FOR_LATER):
        return f"'{{{{ {name} }}}}' is replaced in job_variables only; move it there or write the value"
    literal = ""
    if place[0] == "parameters":
        literal = "; braces that are meant as text belong in `deployments.<flow>/<name>.parameters` of the stack file"
    return _output_error(name) + literal


def _output_error(name: str) -> str:
    return (
        f"'{{{{ {name} }}}}' is the output of a build or push step, and there are none, because Pulumi builds the "
        "image; write the value, or {{ $NAME }} for an environment variable"
    )


def has_placeholder(value: Any) -> bool:
    """Return whether a value has a placeholder left for the worker or for the event that fires a trigger."""
    if isinstance(value, dict) and (_PREFECT_KIND in value or any(has_placeholder(item) for item in value.values())):
        return True
    return any("{{" in text or "{%" in text for _, text in strings(value))
