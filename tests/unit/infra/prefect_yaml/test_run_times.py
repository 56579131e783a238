"""The next runs are those that Prefect's server computes."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect._internal.schemas.validators import normalize_rrule_string
from prefect.server.schemas import schedules

from infra.prefect_yaml.run_times import NeverError, described, next_runs
from infra.specs.deployment import Schedule

NOW = dt.datetime(2026, 11, 27, 21, 0, 30, tzinfo=dt.UTC)
_zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"])
_moments = st.integers(0, 400 * 86400).map(lambda seconds: NOW + dt.timedelta(seconds=seconds))
_crons = ["0 6 * * *", "30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "0 0 6 * * *", "0 9 8-14 * 5", "@daily"]
_rules = [
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6",
    "DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO",
    "DTSTART:20260105T140000Z\nRRULE:FREQ=DAILY",
    "FREQ=MINUTELY;INTERVAL=7",
    "FREQ=HOURLY;INTERVAL=5;BYMINUTE=10",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU,WE,TH,FR",
    "RDATE:20270101T000000",
    "RRULE:FREQ=DAILY\nEXDATE:20261128T000000",
    "FREQ=DAILY;COUNT=3",
    "FREQ=DAILY;UNTIL=20261129T000000",
]


def _theirs(schedule: Any, start: dt.datetime) -> list[dt.datetime]:
    return [date.astimezone(dt.UTC) for date in asyncio.run(schedule.get_dates(3, start=start))]


def _ours(schedule: Schedule, start: dt.datetime) -> list[dt.datetime]:
    return [date.astimezone(dt.UTC) for date in next_runs(schedule, start) or ()]


@settings(max_examples=60, deadline=None)
@given(cron=st.sampled_from(_crons), zone=_zones, start=_moments, day_or=st.booleans())
def test_those_of_a_cron_expression(cron: str, zone: str, start: dt.datetime, day_or: bool) -> None:
    theirs = schedules.CronSchedule(cron=cron, timezone=zone, day_or=day_or)
    ours = Schedule(slug="a", cron=cron, timezone=zone, day_or=day_or)
    assert _ours(ours, start) == _theirs(theirs, start)


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.sampled_from([60, 5400, 43200, 86400, 90000, 604800]),
    zone=_zones,
    start=_moments,
    anchor=st.integers(0, 700 * 86400).map(
        lambda value: dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(0, value)
    ),
)
def test_those_of_an_interval(seconds: int, zone: str, start: dt.datetime, anchor: dt.datetime) -> None:
    fields = {"interval": dt.timedelta(seconds=seconds), "anchor_date": anchor, "timezone": zone}
    ours = Schedule(slug="a", interval=seconds, anchor_date=anchor.isoformat(), timezone=zone)
    assert _ours(ours, start) == _theirs(schedules.IntervalSchedule.model_validate(fields), start)


@settings(max_examples=60, deadline=None)
@given(rule=st.sampled_from(_rules), zone=_zones, start=_moments)
def test_those_of_a_rule(rule: str, zone: str, start: dt.datetime) -> None:
    registered = normalize_rrule_string(rule, timezone=zone, now=start)
    theirs = schedules.RRuleSchedule(rrule=registered, timezone=zone)
    assert _ours(Schedule(slug="a", rrule=rule, timezone=zone), start) == _theirs(theirs, start)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=SECONDLY;COUNT=999999999",
        "DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "DTSTART:99990101T000000\nRRULE:FREQ=DAILY",
    ],
)
def test_a_rule_with_few_or_no_runs_is_soon_given_up(rule: str) -> None:
    start = time.process_time()
    assert described(Schedule(slug="a", rrule=rule), NOW)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("seconds", [1.4e-6, 0.3, 1e9])
def test_an_interval_of_any_length_is_followed_at_once(seconds: float) -> None:
    runs = next_runs(Schedule(slug="a", interval=seconds, anchor_date="1990-01-01T00:00:00Z"), NOW)
    assert runs is not None
    assert runs[0] - NOW <= dt.timedelta(seconds=seconds)


def test_an_interval_without_an_anchor_is_not_known() -> None:
    assert next_runs(Schedule(slug="a", interval=60), NOW) is None


def test_a_date_that_never_comes_differs_from_one_that_has_passed() -> None:
    with pytest.raises(NeverError):
        next_runs(Schedule(slug="a", cron="0 0 31 2 *"), NOW)
    assert next_runs(Schedule(slug="a", rrule="FREQ=DAILY;COUNT=1"), NOW) == []
