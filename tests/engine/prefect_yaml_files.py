"""Strategies for prefect.yaml files: every field of Prefect's own models, with values of its type and near to it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from hypothesis import strategies as st
from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, RawScheduleConfig, WorkPoolConfig

FLOW: Final = '''
from prefect import flow


@flow
def f(n: int = 1, name: str = "", limit: float | None = None, items: list[int] = [1], extra: dict | None = None):
    """What it does."""


@flow(name="Needs day", description="Described.")
def needs(day: str, n: int = 1): ...
'''

FLOWS: Final = '''
import datetime
import enum
from typing import Annotated, Literal

from prefect import flow
from pydantic import BaseModel, Field


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Source(BaseModel):
    """Where data comes from."""

    path: str
    depth: int = Field(default=1, ge=0)


@flow
def load_data(source: Source, since: datetime.date | None = None, level: Level = Level.LOW):
    """Load data.

    Args:
        source: Where from.
        since: The first day; all of them by default.

    """


@flow(name="Nightly report", description="What the night brought.")
def report(top: Annotated[int, Field(ge=1)] = 10, style: Literal["short", "long"] = "short"): ...
'''


def _mostly(usual: list[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of values that Prefect takes, with others among them: most files must be registered."""
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(usual), odd)


_words = st.sampled_from(["a", "b-c", "x y", "ä", "data 日本", "🙂", "1", "true", "null", "load.py", "a.b", "a:b"])
_from_environment = st.sampled_from(
    ["{{ $BRACES }}", "{{ BRACES }}", "{{ $ONLY_BRACES }}", "{{ ONLY_BRACES }}", "-{{ $ONLY_BRACES }}", "{{ $NESTED }}"]
) | st.sampled_from(["{{ $FOR_LATER }}", "x {{ FOR_LATER }} {{ $TOKEN }}"])
_texts = st.one_of(_words, _from_environment, st.text(alphabet="abc xyz-_.:äß{}$#'\"\n", max_size=12))
_booleans = _mostly(
    [True, False, "yes", "no"], st.sampled_from([None, "on", "OFF", "1", 1, 0, 1.0, "t", "maybe", 2, "", []])
)
_numbers = _mostly([1, 2, 3, 7], st.sampled_from([0, -1, "3", "x", 1.5, 2.0, True, None, 10**6, "", []]))
_zones = _mostly(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"], st.sampled_from(["", "No/Zone", None, "CET"])
)
_odd_crons = st.sampled_from(
    [
        "0 6 * * *",
        "*/5 * * * *",
        "@daily",
        "0 0 6 * * *",
        "0 9 8-14 * 5",
        "x",
        "R * * * *",
        "0 0 * * MON-FRI",
        "",
        None,
        5,
    ]
)
_crons = _mostly(["0 6 * * *", "*/5 * * * *", "@daily", "0 9 8-14 * 5", "0 0 * * MON-FRI"], _odd_crons)
_intervals = _mostly(
    [60, 3600, "PT1H", "01:00:00", "P1D", 86400], st.sampled_from([0.5, "3600", 0, -5, "soon", "", None])
)
_anchors = st.sampled_from(
    [
        "2026-01-01T06:00:00+01:00",
        "2026-01-01",
        "2024/01/01",
        "2024-01",
        "2026-01-05T09:00:00",
        "20260105",
        "",
        None,
        "soon",
        dt.date(2026, 1, 5),
    ]
)
_odd_rules = st.sampled_from(
    [
        "FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6",
        "DTSTART:20260101T060000\nRRULE:FREQ=DAILY",
        "DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO",
        '{"rrule": "FREQ=DAILY", "timezone": "Asia/Tokyo"}',
        "NEVER",
        "",
        None,
        "RDATE:20270101T000000",
        "{",
    ]
)
_rules = _mostly(
    ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6", "DTSTART:20260101T060000\nRRULE:FREQ=DAILY"], _odd_rules
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-2, 2), _texts, st.just(float("inf"))),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_words, inner, max_size=2)),
    max_leaves=4,
)
_parameters = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "n": _mostly([1, 2], st.sampled_from(["3", "x", None, 1.0, True])),
            "name": _texts,
            "limit": _mostly([None, 1, 1.5], st.just("x")),
            "items": _mostly([[], [1]], st.sampled_from([[1, "x"], "x"])),
            "extra": _mostly([{"a": "{{ $TOKEN }}", "b": [None, {"c": 1.5}]}, {}, None], _json),
        },
    ),
    st.none(),
    st.sampled_from([{}, {"unknown": 1}, {"day": "mon"}, [], "x"]),
)

_schedule_fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "cron": _crons,
    "interval": _intervals,
    "rrule": _rules,
    "timezone": _zones,
    "anchor_date": _anchors,
    "active": _booleans,
    "parameters": _parameters,
    "slug": _words,
    "replaces": _words,
    "day_or": _booleans,
}
assert set(_schedule_fields) == set(RawScheduleConfig.model_fields), "Prefect has another field of a schedule"


@st.composite
def _schedules(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["cron", "interval", "rrule"]))
    likely = draw(st.lists(st.sampled_from(["timezone", "active", "parameters", "slug", "anchor_date"]), max_size=2))
    rare = draw(st.lists(st.sampled_from(sorted(_schedule_fields)), max_size=1))
    return {name: draw(_schedule_fields[name]) for name in [kind, *likely, *rare]}


_limit_fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "limit": _numbers,
    "collision_strategy": st.sampled_from(["ENQUEUE", "CANCEL_NEW", "DROP", None]),
    "grace_period_seconds": st.sampled_from([60, 90, "90", 5, 86400, 86401, None, 0]),
}
assert set(_limit_fields) == set(ConcurrencyLimitSpec.model_fields), "Prefect has another field of a limit"

_pool_fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": st.just("pool"),
    "work_queue_name": st.sampled_from(["fast", None, "default", ""]),
    "job_variables": st.one_of(
        st.dictionaries(_words, _json, max_size=2),
        st.sampled_from([{"image": "{{ build.image }}"}, {"env": {"A": "{{ $TOKEN }}", "B": "{{ ctx.flow_run.id }}"}}]),
    ),
}
assert set(_pool_fields) == set(WorkPoolConfig.model_fields), "Prefect has another field of a work pool"

_events = st.fixed_dictionaries(
    {"expect": st.lists(st.sampled_from(["a", "b.c"]), max_size=2)},
    optional={
        "name": _words,
        "description": _texts,
        "enabled": st.sampled_from([True, False]),
        "threshold": st.sampled_from([0, 1, 5]),
        "within": st.sampled_from([0, 30, "PT1M"]),
        "posture": st.sampled_from(["Reactive", "Proactive"]),
        "match": st.sampled_from([{}, {"prefect.resource.id": "x.*"}, {"a": ["b", "c"]}]),
        "parameters": st.sampled_from([{}, {"n": 2}, {"name": "{{ event.id }}"}]),
        "schedule_after": st.sampled_from([0, 60, "PT1H"]),
        "for_each": st.lists(st.just("prefect.resource.id"), max_size=1),
        "type": st.just("event"),
    },
)
_steps = st.sampled_from(
    [
        None,
        [],
        {},
        [{"prefect.deployments.steps.set_working_directory": {"directory": "/opt/{{ $TOKEN }}"}}],
        {"prefect.deployments.steps.set_working_directory": {"directory": "/opt"}},
        [{"prefect.deployments.steps.git_clone": {"id": "c", "repository": "r"}}, {"x.y": {"at": "{{ c.directory }}"}}],
    ]
)

_odd_tags = st.sampled_from(["dev", "a b", "", " ", 5, {"a": 1}, [1, None, "", " ", True, 1.5], [["a"]], [" x ", "x"]])

_deployment_fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": st.one_of(_words, st.sampled_from(["d", "d", "d", None, "a/b", ""])),
    "version": st.sampled_from(["1.0", "v", None]),
    "version_type": st.sampled_from([None, "prefect:simple"]),
    "tags": st.one_of(st.lists(_words, max_size=3), st.none(), _odd_tags),
    "description": st.one_of(_texts, st.none(), st.sampled_from(["In {{ $TOKEN }}.", "{{ TOKEN }}", "{{ ctx.x }}"])),
    "schedule": st.one_of(_schedules(), st.none(), st.just({})),
    "schedules": st.one_of(st.lists(_schedules(), max_size=2), st.none()),
    "paused": _booleans,
    "concurrency_limit": st.one_of(_numbers, st.fixed_dictionaries({}, optional=_limit_fields)),
    "flow_name": st.sampled_from([None, "f", "other"]),
    "entrypoint": _mostly(["f.py:f", "f.f"], st.sampled_from(["f:f", "f.py:needs", "f.py:absent"])),
    "parameters": _parameters,
    "enforce_parameter_schema": _booleans,
    "build": st.none(),
    "push": st.none(),
    "pull": _steps,
    "work_pool": st.fixed_dictionaries({"name": _pool_fields.pop("name")}, optional=_pool_fields),
    "triggers": st.one_of(st.lists(_events, max_size=2), st.none()),
    "sla": st.none(),
}
assert set(_deployment_fields) == set(DeploymentConfig.model_fields), "Prefect has another field of a deployment"


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Return the content of a file with one deployment and up to five of its fields beside the necessary ones."""
    optional = sorted(set(_deployment_fields) - {"name", "entrypoint", "work_pool"})
    names = draw(st.lists(st.sampled_from(optional), max_size=5, unique=True))
    names = ["name", "entrypoint", "work_pool", *names]
    deployment = {name: draw(_deployment_fields[name]) for name in names}
    deployment |= draw(st.sampled_from([{}, {}, {}, {"unknown": 1}, {"job_variables": {"a": 1}}]))
    top: dict[str, Any] = draw(st.sampled_from([{}, {}, {"name": "project"}, {"version": 2}, {"x-anchors": [1]}]))
    return {**top, "pull": draw(_steps) if draw(st.booleans()) else [], "deployments": [deployment]}
