"""One deployment of prefect.yaml: from the values in the file to a specification, or to the errors in them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

from infra.flow_signature.source import SourceError
from infra.prefect_yaml import keys, templating
from infra.prefect_yaml.automation import AutomationError, parse_deployment_trigger
from infra.prefect_yaml.concurrency import parse_concurrency_limit
from infra.prefect_yaml.document import Document, Place
from infra.prefect_yaml.entrypoint import module_form
from infra.prefect_yaml.flow import Description, Flow, read_flow
from infra.prefect_yaml.parameters import conversions, parameter_errors
from infra.prefect_yaml.reader import Reader
from infra.prefect_yaml.schedule import ScheduleError, parse_schedule
from infra.prefect_yaml.values import dotted
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec, Schedule

_UNSUPPORTED: Final = {
    "sla": "service levels exist in Prefect Cloud only; declare them there and remove them here",
}
_VERSION_TYPE: Final = "prefect:simple"
"""The version is the text in the file. Every other type derives it from the Git repository."""

_FORBIDDEN: Final = frozenset("/%&<>")
"""Characters that Prefect does not allow in a name, because names are parts of URLs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileDefaults:
    """What a deployment takes from outside its own section.

    Attributes:
        steps: the file's `build`, `push` and `pull` steps, for deployments without their own.
        sources: of the values of placeholders.
        descriptions: what the stack file says of flows: `<flow>/<deployment>` -> its schema and name.

    """

    steps: Mapping[str, Any]
    sources: templating.Sources
    descriptions: Mapping[str, Description]


def parse_deployment(document: Document, place: Place, raw: Any, defaults: FileDefaults) -> DeploymentSpec | None:
    """Return the specification; None if an error prevents one, or if it has no name and so is skipped, as in Prefect.

    Args:
        document: the file.
        place: the deployment's place in it.
        raw: the deployment as the file has it.
        defaults: what it takes from outside its own section.

    """
    if not isinstance(raw, dict):
        message = f"deployment {int(place[-1]) + 1} must be a mapping; write `name: ...` and `entrypoint: ...`"
        document.error(place, message)
        return None
    reader = Reader(document, place, raw)
    if raw.get("name") is None:
        reader.warning((), "it has no name, so it is skipped; write one")
        return None
    _check_keys(reader)
    rendering = templating.render(raw, defaults.sources)
    pull = _rendered_pull(raw, defaults)
    for each in (rendering, pull):
        for where, message in each.errors:
            reader.error(where, f"{dotted(where)}: {message}")
        for where, message in each.warnings:
            reader.warning(where, f"{dotted(where)}: {message}")
    reader.values = {**rendering.values, **pull.values}
    name, entrypoint = reader.text("name"), reader.text("entrypoint")
    for key, value in (("name", name), ("entrypoint", entrypoint)):
        if not value:
            reader.error((), f"{key} is missing; write one")
    if name and _FORBIDDEN & set(_stem(name)):
        reader.error(("name",), f"name '{name}' has one of {' '.join(sorted(_FORBIDDEN))}; write it without")
    flow = _flow(reader, document, entrypoint, name or "", defaults.descriptions) if entrypoint else None
    if not name or not entrypoint or flow is None:
        return None
    secret_fields = frozenset(rendering.secret_fields | pull.secret_fields)
    return _spec(reader, name, entrypoint, flow, secret_fields=secret_fields)


def _rendered_pull(raw: Mapping[str, Any], defaults: FileDefaults) -> templating.Rendered:
    steps = {
        key: defaults.steps.get(key) if raw.get(key) in (None, {}) and (key == "pull" or key not in raw) else raw[key]
        for key in ("build", "push", "pull")
    }
    outputs = templating.step_ids(steps["build"]) | templating.step_ids(steps["push"])
    return templating.render_pull(steps["pull"], defaults.sources.environment, outputs)


def _check_keys(reader: Reader) -> None:
    for key, value in reader.values.items():
        if key in _UNSUPPORTED and value:
            reader.error((key,), _UNSUPPORTED[key])
        elif key not in keys.DEPLOYMENT:
            reader.warning((key,), keys.ignored(str(key), "a deployment"))
        elif key in ("build", "push") and value:
            reader.warning((key,), f"{key} steps are ignored, because Pulumi builds and pushes the image")


def _spec(
    reader: Reader,
    name: str,
    entrypoint: str,
    flow: Flow,
    *,
    secret_fields: frozenset[str],
) -> DeploymentSpec:
    for note in flow.notes:
        reader.warning(("entrypoint",), note)
    enforce = reader.boolean("enforce_parameter_schema") is not False
    parameters = reader.mapping("parameters")
    schedules, triggers = _schedules(reader), _triggers(reader, name, secret_fields)
    _check_parameters(reader, parameters, schedules, triggers, flow, enforce=enforce)
    _check_version_type(reader)
    reader.mapping("work_pool", known=keys.WORK_POOL)
    limit = parse_concurrency_limit(reader)
    pull_steps = _pull_steps(reader)
    return DeploymentSpec(
        flow_name=_flow_name(reader, flow),
        name=_registered_name(reader, name),
        # Pull steps bring code of their own, which is not where the image has its modules.
        entrypoint=entrypoint if pull_steps else module_form(entrypoint, flow.root),
        description=reader.text("description") or flow.description,
        version=reader.text("version"),
        tags=_tags(reader),
        parameters=parameters,
        parameter_schema=flow.schema,
        variadic=flow.variadic,
        enforce_parameter_schema=enforce,
        schedules=schedules,
        concurrency_limit=limit.limit,
        collision_strategy=limit.collision_strategy,
        grace_period_seconds=limit.grace_period_seconds,
        paused=reader.boolean("paused"),
        work_pool_name=reader.text("name", within="work_pool") or None,
        work_queue_name=reader.text("work_queue_name", within="work_pool") or "default",
        job_variables=reader.mapping("job_variables", within="work_pool"),
        pull_steps=pull_steps,
        triggers=triggers,
        secret_fields=frozenset(field for field in secret_fields if not field.startswith("triggers.")),
        location=reader.location,
    )


def _flow(
    reader: Reader, document: Document, entrypoint: str, name: str, descriptions: Mapping[str, Description]
) -> Flow | None:
    try:
        return read_flow(entrypoint, document.path.resolve().parent, name, descriptions)
    except SourceError as error:
        reader.error(("entrypoint",), f"entrypoint: {error}")
        return None


def _registered_name(reader: Reader, name: str) -> str:
    stem = _stem(name)
    if stem == name:
        return name
    reader.warning(("name",), f"name '{name}' is registered as '{stem}', as Prefect does; write it so")
    return stem


def _stem(name: str) -> str:
    return PurePath(name).stem if name.endswith(".py") else name


def _tags(reader: Reader) -> tuple[str, ...]:
    """Return the tags as Prefect reads them: it takes a text for the list of its characters, and null for a text."""
    text = reader.values.get("tags")
    if isinstance(text, str) and text.strip():
        example = f"write `- {text}` below it"
        reader.warning(("tags",), f"tags is text, and Prefect registers each character of it as a tag; {example}")
    tags = list(text) if isinstance(text, str) else reader.sequence("tags", "a-tag")
    for index, tag in enumerate(tags):
        if tag is None:
            reader.warning(("tags", index), "a tag is empty, and Prefect registers it as 'None'; remove it")
    return tuple(str(tag) for tag in tags if str(tag).strip())


def _flow_name(reader: Reader, flow: Flow) -> str:
    name = flow.name
    declared = reader.text("flow_name")
    if declared and declared != name:
        # Prefect ignores the file's name and registers the flow's own.
        text = f"flow_name '{declared}' has no effect, because the flow's own name is '{name}'; remove it"
        reader.warning(("flow_name",), text)
    return name


def _schedules(reader: Reader) -> tuple[Schedule, ...]:
    single, several = reader.values.get("schedule"), reader.values.get("schedules")
    key = "schedule" if single else "schedules"
    if single and "schedules" in reader.values:
        reader.error(("schedule",), "both schedule and schedules are set; keep schedules")
        return ()
    items = [single] if single else several or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        reader.error((key,), f"{key} must be a list of mappings; write `- cron: '0 6 * * *'` below it")
        return ()
    schedules: list[Schedule] = []
    slugs = {str(item["slug"]) for item in items if item.get("slug")}
    free = (number for number in itertools.count(len(items) + 1) if f"schedule-{number}" not in slugs)
    for index, item in enumerate(items):
        place: Place = ("schedule",) if single else ("schedules", index)
        number = next(free) if not item.get("slug") and f"schedule-{index + 1}" in slugs else index + 1
        try:
            schedule = parse_schedule(item, number, warn=_schedule_warning(reader, place))
        except ScheduleError as error:
            reader.error((*place, error.key), f"{dotted(place)}: {error}")
            continue
        if any(schedule.slug == other.slug for other in schedules):
            reader.error((*place, "slug"), f"two schedules have the slug '{schedule.slug}'; rename one")
        schedules.append(schedule)
    return tuple(schedules)


def _schedule_warning(reader: Reader, place: Place) -> Callable[[str, str], None]:
    return lambda key, message: reader.warning((*place, key), f"{dotted(place)}: {message}")


def _trigger_warning(reader: Reader, index: int) -> Callable[[Place, str], None]:
    return lambda place, message: reader.warning(("triggers", index, *place), f"triggers.{index}: {message}")


def _triggers(reader: Reader, deployment: str, secret_fields: frozenset[str]) -> tuple[AutomationSpec, ...]:
    triggers: list[AutomationSpec] = []
    for index, item in enumerate(reader.sequence("triggers", "expect: [...]")):
        try:
            trigger = parse_deployment_trigger(item, index + 1, deployment, warn=_trigger_warning(reader, index))
        except AutomationError as error:
            place: Place = ("triggers", index, *error.place)
            reader.error(place, f"{dotted(place)}: {error}")
            continue
        if any(trigger.name == other.name for other in triggers):
            reader.error(("triggers", index), f"two triggers have the name '{trigger.name}'; rename one")
        triggers.append(dataclasses.replace(trigger, secret=f"triggers.{index}" in secret_fields))
    return tuple(triggers)


def _check_parameters(
    reader: Reader,
    parameters: Mapping[str, Any],
    schedules: tuple[Schedule, ...],
    triggers: tuple[AutomationSpec, ...],
    flow: Flow,
    *,
    enforce: bool,
) -> None:
    """Check all parameters of a deployment: its own, and those of its schedules and triggers."""
    places: dict[Place, Mapping[str, Any]] = {("parameters",): parameters}
    for index, schedule in enumerate(schedules):
        place: Place = ("schedules", index, "parameters")
        places[place], messages = conversions(schedule.parameters, flow) if enforce else (schedule.parameters, [])
        for message in messages:
            reader.warning(place, f"{dotted(place)}: {message}")
    for index, trigger in enumerate(triggers):
        places["triggers", index, "parameters"] = trigger.actions[0].get("parameters", {})
    for place, values in places.items():
        for error in parameter_errors(values, flow, enforce=enforce):
            reader.error(place, f"{dotted(place)}: {error}")


def _check_version_type(reader: Reader) -> None:
    version_type = reader.text("version_type")
    if version_type not in (None, "", _VERSION_TYPE):
        text = f"version_type '{version_type}' has no effect, or every commit would delete scheduled runs"
        reader.warning(("version_type",), f"{text}; remove it, or write {_VERSION_TYPE} and a version")


def _pull_steps(reader: Reader) -> tuple[Mapping[str, Any], ...]:
    steps = reader.values.get("pull") or []
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        reader.error(("pull",), "pull must be a list of steps; write `- prefect.deployments.steps...:` below it")
        return ()
    return tuple(steps)
