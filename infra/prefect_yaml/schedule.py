"""One schedule of prefect.yaml, checked as far as possible without a server."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from infra.prefect_yaml import dates, duration, run_times, schedule_meaning, values
from infra.prefect_yaml.document import nearest
from infra.prefect_yaml.keys import SCHEDULE as KEYS
from infra.specs.deployment import Schedule

_KINDS: Final = ("cron", "interval", "rrule")

_LONGEST_RULE: Final = 6500
"""Characters, `MAX_RRULE_LENGTH` in prefect/client/schemas/schedules.py."""

_NO_INTERVAL: Final = re.compile(r"\bINTERVAL=\s*(-\d|0+\s*(;|$))", re.IGNORECASE | re.MULTILINE)

T = TypeVar("T")


class ScheduleError(Exception):
    """A schedule is not valid. The text says why and what to do.

    Attributes:
        key: the wrong key.

    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def parse_schedule(
    raw: Mapping[str, Any], number: int, *, warn: Callable[[str, str], None], now: dt.datetime | None = None
) -> Schedule:
    """Read one schedule.

    Args:
        raw: the schedule as the file has it.
        number: its position in the list from 1, for the slug of a schedule without one. Prefect cannot tell schedules
            without slugs apart, so one paused by hand would be resumed.
        warn: takes the key and a sentence about something that is ignored or means something else.
        now: the time from which runs are named.

    Raises:
        ScheduleError: the first error.

    """
    for key in raw:
        if key not in KEYS:
            raise ScheduleError(key, f"a schedule has no key '{key}'; {nearest(key, KEYS)}")
    kinds = [key for key in _KINDS if raw.get(key) is not None]
    if len(kinds) != 1:
        message = (
            f"a schedule must have exactly one of {', '.join(_KINDS)}, and this has {' and '.join(kinds) or 'none'}"
        )
        raise ScheduleError(kinds[-1] if kinds else "", message)
    [kind] = kinds
    timezone = _timezone(raw.get("timezone"))
    rule: str | None = None
    if kind == "rrule":
        rule, timezone = _rrule(raw["rrule"], timezone)
    for key, owner in (("anchor_date", "interval"), ("day_or", "cron")):
        if raw.get(key) not in (None, "") and kind != owner:
            warn(key, f"{key} has no effect, because it belongs to {owner} and this is {kind}; remove it")
    schedule = Schedule(
        slug=_text(raw, "slug") or f"schedule-{number}",
        cron=_cron(raw["cron"]) if kind == "cron" else None,
        interval=_seconds(raw["interval"]) if kind == "interval" else None,
        rrule=rule,
        timezone=timezone or "UTC",
        anchor_date=_anchor(raw.get("anchor_date"), kind),
        day_or=_checked(values.boolean, raw, "day_or") is not False,
        active=_checked(values.boolean, raw, "active"),
        parameters=_checked(values.mapping, raw, "parameters"),
        replaces=_text(raw, "replaces"),
    )
    moment = now or dt.datetime.now(dt.UTC)
    if schedule_meaning.never_comes(schedule, moment):
        text = (
            f"this date never comes, so Prefect's server makes no run of any schedule of the deployment; correct {kind}"
        )
        if schedule.active is not False:
            raise ScheduleError(kind, text)
        warn(kind, text)
        return schedule
    for key, text in schedule_meaning.warnings(schedule, raw, moment):
        warn(key, text)
    return schedule


def _cron(value: Any) -> str:
    if not isinstance(value, str):
        raise ScheduleError("cron", "cron must be text; put five fields in quotes, such as '0 6 * * *'")
    croniter = run_times.croniter()
    if croniter is not None:
        try:
            croniter.croniter(value)
        except ValueError as error:
            reason = str(error).removeprefix(f"[{value}] ").removeprefix("is not acceptable, ").rstrip(".")
            text = f"cron '{value}' is not valid ({reason}); write five fields, such as '0 6 * * *'"
            raise ScheduleError("cron", text) from None
    if {"r", "h"} & set(value.lower().split()):
        raise ScheduleError(
            "cron", f"cron '{value}' has random or hashed times (R, H), which Prefect refuses; write fixed ones"
        )
    return value


def _seconds(value: Any) -> float:
    # Prefect takes true for one second.
    seconds = duration.seconds(int(value) if isinstance(value, bool) else value)
    if seconds is None or dt.timedelta(seconds=seconds) <= dt.timedelta(0):
        text = f"interval '{value}' must be a positive duration; write seconds, PT1H or 01:00:00"
        raise ScheduleError("interval", text)
    return seconds


def _rrule(value: Any, timezone: str | None) -> tuple[str, str | None]:
    rule, zone = value, timezone
    if isinstance(value, str) and value.lstrip().startswith("{"):
        # Prefect's older form: the whole schedule as JSON.
        try:
            whole = json.loads(value)
            rule, zone = whole["rrule"], timezone or _timezone(whole.get("timezone"))
        except (ValueError, KeyError, TypeError):
            raise ScheduleError("rrule", "rrule must be valid JSON with the key rrule; write the rule itself") from None
    if not isinstance(rule, str):
        raise ScheduleError("rrule", "rrule must be text, such as FREQ=DAILY;BYHOUR=6")
    try:
        importlib.import_module("dateutil.rrule").rrulestr(rule, cache=True)
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        text = f"rrule '{rule[:80]}' is not valid ({error}); write one such as FREQ=DAILY;BYHOUR=6"
        raise ScheduleError("rrule", text) from None
    if _NO_INTERVAL.search(rule):
        text = "INTERVAL must be at least 1: Prefect's server would search for a date without end; write 1 or more"
        raise ScheduleError("rrule", text)
    if run_times.until_fails(rule):
        text = "UNTIL ends with Z and there is no DTSTART, on which Prefect's server fails; write UNTIL without Z"
        raise ScheduleError("rrule", text)
    if len(rule) > _LONGEST_RULE:
        raise ScheduleError(
            "rrule", f"rrule has {len(rule)} characters, and Prefect takes {_LONGEST_RULE}; write it shorter"
        )
    return rule, zone


def _timezone(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        zoneinfo.ZoneInfo(str(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = nearest(str(value), sorted(zoneinfo.available_timezones()))
        hint = close if close.startswith("did") else "write one such as Europe/Berlin"
        raise ScheduleError("timezone", f"there is no timezone '{value}'; {hint}") from None
    return str(value)


def _anchor(value: Any, kind: str) -> str | None:
    if value is None or value == "" or kind != "interval":
        return None
    try:
        moment = dates.moment(value if dates.is_timestamp(value) else str(value))
        # Prefect takes an anchor without an offset as UTC, whatever the schedule's timezone is.
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
        return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        text = f"anchor_date '{value}' is not a date; write one such as 2026-01-01T06:00:00+01:00"
        raise ScheduleError("anchor_date", text) from None


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    if isinstance(raw.get(key), dict | list):
        raise ScheduleError(key, f"{key} must be text; write a word")
    return str(raw[key]) if raw.get(key) else None


def _checked(check: Callable[[str, Any], T], raw: Mapping[str, Any], key: str) -> T:
    try:
        return check(key, raw.get(key))
    except ValueError as error:
        raise ScheduleError(key, str(error)) from None
