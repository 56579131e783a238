"""One deployment of prefect.yaml: from what stands in the file to a specification, or to what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from infra.flow_signature import schema as parameter_schema
from infra.flow_signature import source as flow_source
from infra.flow_signature import validate as json_schema
from infra.flow_signature.source import FlowSource
from infra.prefect_yaml import automation as automation_yaml
from infra.prefect_yaml import schedule as schedule_yaml
from infra.prefect_yaml import templating
from infra.prefect_yaml.document import Document, Place, nearest
from infra.prefect_yaml.entrypoint import module_form
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import CollisionStrategy, DeploymentSpec, Schedule

KEYS: Final = (
    "name",
    "version",
    "version_type",
    "tags",
    "description",
    "schedule",
    "schedules",
    "paused",
    "concurrency_limit",
    "triggers",
    "flow_name",
    "entrypoint",
    "parameters",
    "enforce_parameter_schema",
    "build",
    "push",
    "pull",
    "work_pool",
)
_POOL_KEYS: Final = ("name", "work_queue_name", "job_variables")
_LIMIT_KEYS: Final = ("limit", "collision_strategy", "grace_period_seconds")
_UNSUPPORTED: Final = {
    "sla": "service levels exist in Prefect Cloud only; declare them there and remove them here",
}
_VERSION_TYPE: Final = "prefect:simple"
"""The version is what the file says; every other type takes it from the repository at hand."""

_BANNED: Final = frozenset("/%&<>")
"""Characters that Prefect lets no name have: names are parts of addresses."""

_STRATEGIES: Final[tuple[str, ...]] = get_args(CollisionStrategy)


class Entry:
    """One deployment being read. Mistakes are told to the document, so that a person sees all of them at once.

    Args:
        document: the file.
        place: of the deployment in it.
        pull: the file's own pull steps, for deployments that have none of their own.
        environment: for `{{ $NAME }}`.
        warn: takes a sentence about something that is passed over.

    """

    def __init__(
        self,
        document: Document,
        place: Place,
        *,
        pull: Any,
        environment: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        self._document = document
        self._place = place
        self._pull = pull
        self._environment = environment
        self._warn = warn
        self._raw: dict[str, Any] = {}
        self._title = f"deployment {int(place[-1]) + 1}"

    def spec(self, raw: Any) -> DeploymentSpec | None:
        """Return the specification, or None when too little is right to make one."""
        if not isinstance(raw, dict):
            self._complain((), "is no mapping; write `name: ...` and `entrypoint: ...`")
            return None
        if isinstance(raw.get("name"), str):
            self._title = f"deployment '{raw['name']}'"
        for key in raw:
            if key in _UNSUPPORTED and raw[key]:
                self._complain((key,), _UNSUPPORTED[key])
            elif key not in KEYS and key not in _UNSUPPORTED:
                self._complain((key,), f"there is no key '{key}'; {nearest(str(key), KEYS)}")
        self._pass_over(raw)
        rendered = templating.render(raw, self._environment)
        for place, text in rendered.complaints:
            self._complain(place, f"{'.'.join(map(str, place))}: {text}")
        self._raw = rendered.values
        name, entrypoint = self._text("name"), self._text("entrypoint")
        for key, value in (("name", name), ("entrypoint", entrypoint)):
            if not value:
                self._complain((), f"{key} is missing; write one")
        if name and _BANNED & set(name):
            self._complain(("name",), f"name '{name}' has one of {' '.join(sorted(_BANNED))}; write it without")
        source = self._source(entrypoint) if entrypoint else None
        if not name or not entrypoint or source is None:
            return None
        return self._assembled(name, entrypoint, source, frozenset(rendered.secret))

    def _assembled(self, name: str, entrypoint: str, source: FlowSource, secret: frozenset[str]) -> DeploymentSpec:
        flow_name = self._flow_name(source)
        schema, notes = parameter_schema.build(source)
        for note in notes:
            self._warn(f"{self._document.at(self._place)}: {self._title}: {note}.")
        enforce = self._flag("enforce_parameter_schema") is not False
        parameters = self._mapping("parameters")
        schedules, triggers = self._schedules(), self._triggers(name, secret)
        given: dict[Place, Mapping[str, Any]] = {
            ("parameters",): parameters,
            **{("schedules", index, "parameters"): each.parameters for index, each in enumerate(schedules)},
            **{
                ("triggers", index, "parameters"): each.actions[0].get("parameters", {})
                for index, each in enumerate(triggers)
            },
        }
        for place, values in given.items():
            for complaint in parameter_complaints(values, schema, source, enforce=enforce):
                self._complain(place, f"{'.'.join(map(str, place))}: {complaint}")
        self._check_version_type()
        pool = self._section("work_pool", _POOL_KEYS)
        limit = self._limit()
        pull_steps = self._pull_steps()
        return DeploymentSpec(
            flow_name=flow_name,
            name=name,
            # Pull steps bring code of their own, which is not where the image has its modules.
            entrypoint=entrypoint if pull_steps else module_form(entrypoint, source.root),
            description=self._text("description") or _literal(source, "description") or source.docstring,
            version=self._text("version"),
            tags=self._tags(),
            parameters=parameters,
            parameter_schema=schema,
            enforce_parameter_schema=enforce,
            schedules=schedules,
            concurrency_limit=limit.get("limit"),
            collision_strategy=limit.get("collision_strategy"),
            grace_period_seconds=limit.get("grace_period_seconds"),
            paused=self._flag("paused"),
            work_pool_name=pool.get("name"),
            work_queue_name=pool.get("work_queue_name") or "default",
            job_variables=self._mapping("job_variables", pool, ("work_pool",)),
            pull_steps=pull_steps,
            triggers=triggers,
            secret_fields=frozenset(field for field in secret if not field.startswith("triggers.")),
        )

    def _source(self, entrypoint: str) -> FlowSource | None:
        root = self._document.path.resolve().parent
        try:
            return flow_source.find(entrypoint, root)
        except flow_source.SourceError as error:
            self._complain(("entrypoint",), f"entrypoint: {error}")
            return None

    def _flow_name(self, source: FlowSource) -> str:
        if source.option("name") is None:
            name = source.function.name.replace("_", "-")
        else:
            found = _literal(source, "name")
            if found is None:
                text = f"the name of @flow on '{source.function.name}' is no plain text; write it as one"
                self._complain(("entrypoint",), f"entrypoint: {text}")
            name = found or source.function.name
        declared = self._text("flow_name")
        if declared and declared != name:
            # Prefect passes over what the file says and takes the flow's own.
            self._complain(("flow_name",), f"flow_name is '{declared}', but the flow calls itself '{name}'; remove it")
        return name

    def _schedules(self) -> tuple[Schedule, ...]:
        single, several = self._raw.get("schedule"), self._raw.get("schedules")
        key = "schedule" if single else "schedules"
        if single and "schedules" in self._raw:
            self._complain(("schedule",), "both schedule and schedules are given; keep schedules")
            return ()
        listed = [single] if single else several or []
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            self._complain((key,), f"{key} is no list of mappings; write `- cron: '0 6 * * *'` below it")
            return ()
        found: list[Schedule] = []
        for index, item in enumerate(listed):
            place: Place = ("schedule",) if single else ("schedules", index)
            try:
                schedule = schedule_yaml.parse_schedule(item, index + 1)
            except schedule_yaml.ScheduleError as error:
                self._complain((*place, error.key), f"{'.'.join(map(str, place))}: {error}")
                continue
            if any(schedule.slug == other.slug for other in found):
                self._complain((*place, "slug"), f"two schedules have the slug '{schedule.slug}'; rename one")
            found.append(schedule)
        return tuple(found)

    def _triggers(self, name: str, secret: frozenset[str]) -> tuple[AutomationSpec, ...]:
        listed = self._raw.get("triggers") or []
        if not isinstance(listed, list):
            self._complain(("triggers",), "triggers is no list; write `- expect: [...]` below it")
            return ()
        found: list[AutomationSpec] = []
        for index, item in enumerate(listed):
            try:
                trigger = automation_yaml.parse_deployment_trigger(item, index + 1, name)
            except automation_yaml.AutomationError as error:
                place: Place = ("triggers", index, *error.place)
                self._complain(place, f"{'.'.join(map(str, place))}: {error}")
                continue
            if any(trigger.name == other.name for other in found):
                self._complain(("triggers", index), f"two triggers have the name '{trigger.name}'; rename one")
            found.append(dataclasses.replace(trigger, secret=f"triggers.{index}" in secret))
        return tuple(found)

    def _check_version_type(self) -> None:
        given = self._text("version_type")
        if given not in (None, "", _VERSION_TYPE):
            text = (
                f"version_type is '{given}', which makes every commit a version and so throws scheduled runs away;"
                f" remove it, or write {_VERSION_TYPE} and a version"
            )
            self._complain(("version_type",), text)

    def _limit(self) -> dict[str, Any]:
        raw = self._raw.get("concurrency_limit")
        section = self._section("concurrency_limit", _LIMIT_KEYS) if isinstance(raw, dict) else {"limit": raw}
        place = "concurrency_limit"
        limit = _integer(section.get("limit"))
        if section.get("limit") is not None and (limit is None or limit < 1):
            self._complain((place,), f"{place} is '{section['limit']}'; write a whole number of at least 1")
        strategy = section.get("collision_strategy")
        if strategy is not None and strategy not in _STRATEGIES:
            text = f"collision_strategy is '{strategy}'; write {' or '.join(_STRATEGIES)}"
            self._complain((place, "collision_strategy"), f"{place}: {text}")
        grace = _integer(section.get("grace_period_seconds"))
        if section.get("grace_period_seconds") is not None and not (grace and 60 <= grace <= 86400):
            text = f"grace_period_seconds is '{section['grace_period_seconds']}'; write 60 to 86400"
            self._complain((place, "grace_period_seconds"), f"{place}: {text}")
        if grace is not None and strategy is None:
            # Prefect keeps the period in the same record, which needs a strategy.
            strategy = "ENQUEUE"
        return {"limit": limit, "collision_strategy": strategy, "grace_period_seconds": grace}

    def _pull_steps(self) -> tuple[Mapping[str, Any], ...]:
        own = self._raw.get("pull")
        steps = self._pull if own is None else own
        steps = [steps] if isinstance(steps, dict) and steps else steps or []
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            self._complain(("pull",), "pull is no list of steps; write `- prefect.deployments.steps...:` below it")
            return ()
        return tuple(steps)

    def _tags(self) -> tuple[str, ...]:
        tags = self._raw.get("tags") or []
        if not isinstance(tags, list):
            self._complain(("tags",), "tags is no list; write `- a-tag` below it")
            return ()
        return tuple(str(tag) for tag in tags if tag not in ("", None))

    def _section(self, key: str, known: tuple[str, ...]) -> dict[str, Any]:
        section = self._mapping(key)
        for inner in section:
            if inner not in known:
                self._complain((key, inner), f"{key} has no key '{inner}'; {nearest(str(inner), known)}")
        return section

    def _mapping(self, key: str, holder: Mapping[str, Any] | None = None, place: Place = ()) -> dict[str, Any]:
        value = (self._raw if holder is None else holder).get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._complain((*place, key), f"{key} is no mapping; write `name: value` below it")
            return {}
        return value

    def _text(self, key: str) -> str | None:
        value = self._raw.get(key)
        if isinstance(value, dict | list):
            self._complain((key,), f"{key} is no text; write one")
            return None
        return None if value is None else str(value)

    def _flag(self, key: str) -> bool | None:
        value = self._raw.get(key)
        word = str(value).lower()
        if value is not None and word not in ("true", "false"):
            self._complain((key,), f"{key} is '{value}'; write true or false")
        return None if value is None else word == "true"

    def _pass_over(self, raw: Mapping[str, Any]) -> None:
        for key in ("build", "push"):
            if raw.get(key):
                where = self._document.at((*self._place, key))
                self._warn(f"{where}: {self._title}: {key} steps are passed over: the image is a Pulumi resource.")

    def _complain(self, place: Place, text: str) -> None:
        self._document.complain((*self._place, *place), f"{self._title}: {text}")


def parameter_complaints(
    parameters: Mapping[str, Any], schema: Mapping[str, Any], source: FlowSource, *, enforce: bool
) -> list[str]:
    """Return what is wrong with given parameters: names that the flow does not have, values that do not fit."""
    names, takes_others = parameter_schema.names(source)
    complaints = []
    for name, value in parameters.items():
        if name not in names and not takes_others:
            complaints.append(f"the flow has no parameter '{name}'; {nearest(name, names)}")
        elif enforce and name in schema["properties"] and not templating.has_placeholder(value):
            why = json_schema.schema_error(value, schema["properties"][name], schema)
            complaints += [f"'{name}' {why}; correct it"] if why else []
    return complaints


def _literal(source: FlowSource, option: str) -> str | None:
    value = getattr(source.option(option), "value", None)
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdigit() else None
