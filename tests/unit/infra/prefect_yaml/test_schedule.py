"""Schedules: what means something else is a warning with the next runs, and a date that never comes is refused."""

from __future__ import annotations

import datetime as dt

import pytest

from infra.prefect_yaml.schedule import ScheduleError, parse_schedule
from infra.specs.deployment import Schedule
from tests.support.prefect_yaml_project import Project, deployment

NOW = dt.datetime(2026, 11, 27, 21, tzinfo=dt.UTC)


def _parsed(**raw: object) -> tuple[Schedule, list[str]]:
    warnings: list[str] = []
    schedule = parse_schedule(raw, 1, warn=lambda key, text: warnings.append(f"{key}: {text}"), now=NOW)
    return schedule, warnings


@pytest.mark.parametrize(
    ("raw", "warning"),
    [
        (
            {"cron": "0 0 6 * * *"},
            (
                "cron: the sixth field is the seconds, so it runs on Sun 2026-12-06 00:00:00, Sun 2026-12-06 00:00:01,"
                " Sun 2026-12-06 00:00:02 UTC; write five fields if you did not mean that"
            ),
        ),
        ({"cron": "0 6 * * * 0 2027"}, "cron: the sixth field is the seconds and the seventh the year, so it runs on"),
        (
            {"rrule": "DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"},
            (
                "rrule: the TZID of DTSTART is not used: the times are those of UTC, so it runs on Mon 2026-11-30"
                " 09:00, Mon 2026-12-07 09:00, Mon 2026-12-14 09:00 UTC; write `timezone: America/New_York` and no TZID"
            ),
        ),
        (
            {"rrule": "DTSTART:20260105T140000Z\nRRULE:FREQ=DAILY", "timezone": "America/New_York"},
            (
                "rrule: the Z of DTSTART is not used: the times are those of America/New_York, so it runs on Sat"
                " 2026-11-28 14:00"
            ),
        ),
        (
            {"rrule": "DTSTART:20260105T140000Z\nRRULE:FREQ=DAILY;UNTIL=20300105T140000Z", "timezone": "Asia/Tokyo"},
            "rrule: the Z of DTSTART and UNTIL is not used",
        ),
        (
            {"rrule": "RRULE:FREQ=DAILY\nEXDATE;TZID=Asia/Tokyo:20261128T000000"},
            "rrule: the TZID of EXDATE is not used",
        ),
        (
            {"interval": 86400, "anchor_date": "2026-01-05T09:00:00", "timezone": "America/New_York"},
            (
                "anchor_date: has no offset, so it is taken as UTC and not as America/New_York: it runs on Sat"
                " 2026-11-28 04:00, Sun 2026-11-29 04:00, Mon 2026-11-30 04:00 America/New_York; write"
            ),
        ),
        ({"interval": 3600, "anchor_date": "2026/01/05", "timezone": "Asia/Tokyo"}, "anchor_date: has no offset"),
        ({"rrule": "FREQ=DAILY;COUNT=3"}, "rrule: has no run left, because its last date has passed"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200105T000000"}, "rrule: has no run left"),
    ],
)
def test_a_schedule_that_means_something_else_is_a_warning_with_the_next_runs(
    raw: dict[str, object], warning: str
) -> None:
    _, [text] = _parsed(**raw)
    assert text.startswith(warning)


@pytest.mark.parametrize(
    "raw",
    [
        {"cron": "0 6 * * *", "timezone": "Europe/Berlin"},
        {"cron": "@daily"},
        {"rrule": "DTSTART;TZID=Asia/Tokyo:20260105T090000\nRRULE:FREQ=DAILY", "timezone": "Asia/Tokyo"},
        {"rrule": "DTSTART:20260105T140000Z\nRRULE:FREQ=DAILY", "timezone": "Etc/UTC"},
        {"rrule": "DTSTART:20260105T140000\nRRULE:FREQ=DAILY", "timezone": "Asia/Tokyo"},
        {"interval": 3600, "anchor_date": "2026-01-05T09:00:00", "timezone": "UTC"},
        {"interval": 3600, "anchor_date": "2026-01-05T09:00:00+01:00", "timezone": "Asia/Tokyo"},
        {"interval": 3600, "timezone": "Asia/Tokyo"},
        {"rrule": "DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY"},
    ],
)
def test_a_schedule_that_means_what_it_says_has_no_warning(raw: dict[str, object]) -> None:
    assert _parsed(**raw)[1] == []


@pytest.mark.parametrize(
    "raw",
    [
        {"cron": "0 0 31 2 *"},
        {"cron": "0 0 30 feb *", "day_or": False},
        {"cron": "0 0 1 1 * 0 2020"},
        {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"},
        {"rrule": "FREQ=MINUTELY;BYMONTH=6;BYMONTHDAY=31"},
        {"rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=TU"},
        {"rrule": "FREQ=MONTHLY;BYDAY=6MO"},
    ],
)
def test_a_date_that_never_comes_is_refused_unless_the_schedule_is_inactive(raw: dict[str, object]) -> None:
    with pytest.raises(ScheduleError, match="this date never comes"):
        _parsed(**raw)
    schedule, [warning] = _parsed(**raw, active=False)
    assert not schedule.active
    assert "this date never comes" in warning


@pytest.mark.parametrize(
    ("anchor", "registered"),
    [
        ("2024/01/01", "2024-01-01T00:00:00Z"),
        ("2024-01", "2024-01-01T00:00:00Z"),
        ("2024", "2024-01-01T00:00:00Z"),
        ("2024-032", "2024-02-01T00:00:00Z"),
        ("20240105", "2024-01-05T00:00:00Z"),
        ("2024-01-05 09:00", "2024-01-05T09:00:00Z"),
        ("2024-01-05T09:00:00+01:00", "2024-01-05T08:00:00Z"),
        ("", None),
    ],
)
def test_an_anchor_is_read_in_every_spelling_that_prefect_takes(anchor: str, registered: str | None) -> None:
    assert _parsed(interval=3600, anchor_date=anchor)[0].anchor_date == registered


@pytest.mark.parametrize(
    ("value", "active"),
    [("yes", True), ("on", True), ("1", True), (1, True), ("T", True), ("off", False), ("no", False), (0, False)],
)
def test_active_is_read_in_every_spelling_that_prefect_takes(value: object, active: bool) -> None:
    assert _parsed(interval=3600, active=value)[0].active is active


def test_an_empty_timezone_is_none() -> None:
    assert _parsed(interval=3600, timezone="")[0].timezone == "UTC"


def test_a_rule_over_prefects_limit_is_refused() -> None:
    rule = "RDATE:" + ",".join(["20270101T000000"] * 500)
    with pytest.raises(ScheduleError, match="rrule has 8005 characters, and Prefect takes 6500"):
        _parsed(rrule=rule)


def test_an_end_in_utc_without_a_start_is_refused_because_the_server_fails_on_it() -> None:
    with pytest.raises(ScheduleError, match="UNTIL ends with Z and there is no DTSTART"):
        _parsed(rrule="FREQ=DAILY;UNTIL=20300105T140000Z")


@pytest.mark.parametrize("value", [1e15, 1e-7, "P999999999999D", float("inf"), 0, "-PT1H"])
def test_an_interval_that_is_not_a_duration_is_refused(value: object) -> None:
    with pytest.raises(ScheduleError, match="must be a positive duration"):
        _parsed(interval=value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("schedules: [{cron: '0 6 * * *'}]", "schedules.0: 'a' has no default and no value"),
        ("schedule: {cron: '0 6 * * *'}", "schedule: 'a' has no default and no value"),
        ("triggers: [{expect: [orders.loaded]}]", "triggers.0: 'a' has no default and no value"),
    ],
)
def test_a_start_without_a_required_parameter_is_refused(text: str, problem: str, project: Project) -> None:
    file = deployment(text).replace("plain_one", "named")
    refusal = project.refusal(file)
    assert f"prefect.yaml:4: deployment 'one': {problem}" in refusal
    for source in ("parameters: {a: 1}", text.replace("}", ", parameters: {a: 1}}")):
        both = f"{text}\n{source}" if source.startswith("parameters") else source
        assert project.load(deployment(both).replace("plain_one", "named"))


@pytest.mark.parametrize(
    "off", ["schedules: [{interval: 5, active: false}]", "paused: true\nschedules: [{interval: 5}]"]
)
def test_a_start_that_is_off_may_lack_a_parameter(off: str, project: Project) -> None:
    assert project.load(deployment(off).replace("plain_one", "named"))
    assert "'a' has no default" in project.warnings[0]


def test_a_deployment_without_schedule_may_lack_a_parameter(project: Project) -> None:
    assert project.load(deployment("").replace("plain_one", "named"))
    assert project.warnings == []


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1", "RRULE:FREQ=DAILY;INTERVAL=00;BYHOUR=6"]
)
def test_a_rule_without_an_interval_is_refused(rule: str) -> None:
    with pytest.raises(ScheduleError, match="INTERVAL must be at least 1"):
        _parsed(rrule=rule)


@pytest.mark.parametrize("key", ["slug", "replaces"])
def test_a_slug_that_is_a_list_is_refused(key: str) -> None:
    with pytest.raises(ScheduleError, match=f"{key} must be text"):
        _parsed(interval=60, **{key: ["a"]})


@pytest.mark.parametrize("anchor", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00", "09:00", "soon"])
def test_an_anchor_that_is_not_a_date_is_refused(anchor: str) -> None:
    with pytest.raises(ScheduleError, match="is not a date"):
        _parsed(interval=3600, anchor_date=anchor)
