# ruff: noqa: SLF001  dateutil has no other way to the parts of a rule, and Prefect reads these, too
"""When a schedule runs next, as Prefect's server computes it, without the two seconds of importing Prefect."""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import importlib.util
import itertools
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from infra.specs.deployment import Schedule

_SHOWN: Final = 3
_HORIZON: Final = 36_525
"""Days, a hundred years: a rule without a day in them never comes."""

_MOST_DATES: Final = 50_000
"""Dates of a rule that are looked at, a tenth of a second: one that started long ago is not followed to this day."""

_RULE_START: Final = dt.datetime(2020, 1, 1)  # noqa: DTZ001  in the schedule's own timezone
"""Start of a rule without DTSTART, `DEFAULT_ANCHOR_DATE` in prefect/server/schemas/schedules.py."""


class NeverError(Exception):
    """The schedule has no date, now or later, and Prefect's server fails on it or searches without end."""


def next_runs(schedule: Schedule, now: dt.datetime) -> list[dt.datetime] | None:
    """Return the next three runs in the schedule's timezone, fewer if it ends; None if they are not known.

    Args:
        schedule: an interval without an anchor is not known, because Prefect counts it from its registration.
        now: an instant with a timezone.

    Raises:
        NeverError: there is no run and there was none.

    """
    try:
        return _next_runs(schedule, zoneinfo.ZoneInfo(schedule.timezone), now)
    except OverflowError:
        return None  # after the year 9999


def _next_runs(schedule: Schedule, zone: zoneinfo.ZoneInfo, now: dt.datetime) -> list[dt.datetime] | None:
    if schedule.cron is not None:
        return _of_cron(schedule.cron, zone, now, day_or=schedule.day_or)
    if schedule.rrule is not None:
        return _of_rule(schedule.rrule, zone, now)
    if schedule.anchor_date is None or schedule.interval is None:
        return None
    dates = _of_interval(dt.datetime.fromisoformat(schedule.anchor_date), schedule.interval, zone, now)
    return list(itertools.islice(dates, _SHOWN))


def until_fails(rule: str) -> bool:
    """Return whether a valid rule is one no longer with the start that Prefect's server adds to it."""
    try:
        importlib.import_module("dateutil.rrule").rrulestr(rule, dtstart=_RULE_START)
    except ValueError:
        return True
    return False


def described(schedule: Schedule, now: dt.datetime) -> str:
    """Return the next three runs as text: `Mon 2026-01-05 09:00, Tue ... Europe/Berlin`."""
    try:
        runs = next_runs(schedule, now)
    except NeverError:
        return "never"
    if runs is None:
        return "not known before the update"
    seconds = any(run.second for run in runs)
    form = "%a %Y-%m-%d %H:%M:%S" if seconds else "%a %Y-%m-%d %H:%M"
    return f"{', '.join(run.strftime(form) for run in runs)} {schedule.timezone}" if runs else "never again"


def _of_cron(cron: str, zone: zoneinfo.ZoneInfo, now: dt.datetime, *, day_or: bool) -> list[dt.datetime] | None:
    module = croniter()
    if module is None:
        return None
    start = now.astimezone(zone).replace(tzinfo=None) - dt.timedelta(seconds=1)
    dates = module.croniter(cron, start, day_or=day_or)
    try:
        return [_in(zone, dates.get_next(dt.datetime)) for _ in range(_SHOWN)]
    except module.CroniterBadDateError:
        raise NeverError from None


def _of_interval(
    anchor: dt.datetime, seconds: float, zone: zoneinfo.ZoneInfo, now: dt.datetime
) -> Iterator[dt.datetime]:
    interval = dt.timedelta(seconds=seconds)
    date = (anchor + interval * int((now - anchor) / interval)).astimezone(zone)
    whole_days = dt.timedelta(days=interval.days)
    while True:
        if date >= now:
            yield date
        # A whole day keeps the hour when the clocks change.
        local = _in(zone, date.replace(tzinfo=None) + whole_days)
        date = (local.astimezone(dt.UTC) + (interval - whole_days)).astimezone(zone)


def _of_rule(text: str, zone: zoneinfo.ZoneInfo, now: dt.datetime) -> list[dt.datetime] | None:
    rule: Any = importlib.import_module("dateutil.rrule").rrulestr(text, dtstart=_RULE_START)
    local = now.astimezone(zone).replace(tzinfo=None)
    parts = [_without_zone(part, local) for part in getattr(rule, "_rrule", [rule])]
    possible = [part for part in parts if _has_a_day(part)]
    single = not hasattr(rule, "_rrule")
    dates = [] if single else [date.replace(tzinfo=None) for date in rule._rdate]
    if not possible and not dates:
        raise NeverError
    excluded = set() if single else {date.replace(tzinfo=None) for date in rule._exdate}
    if not single and rule._exrule:
        return None
    coming = {date for date in dates if date >= local}
    for part in possible:
        later = _coming(part, local, excluded)
        if later is None:
            return None
        coming |= set(later)
    return [_in(zone, date) for date in sorted(coming - excluded)[:_SHOWN]]


def _coming(rule: Any, now: dt.datetime, excluded: set[dt.datetime]) -> list[dt.datetime] | None:
    later: list[dt.datetime] = []
    for number, date in enumerate(rule):
        if number == _MOST_DATES:
            return None
        if date >= now and date not in excluded:
            later.append(date)
        if len(later) == _SHOWN:
            break
    return later


def _without_zone(rule: Any, now: dt.datetime) -> Any:
    """Return a rule on the clock of the schedule's timezone, as Prefect reads every rule, that starts close to now."""
    start, until = rule._dtstart.replace(tzinfo=None), rule._until
    seconds = {4: 3600, 5: 60, 6: 1}.get(rule._freq)  # HOURLY, MINUTELY, SECONDLY
    if seconds and rule._count is None and start < now:
        period = dt.timedelta(seconds=seconds * rule._interval)
        start += (now - start) // period * period
    return rule.replace(dtstart=start, until=until and until.replace(tzinfo=None))


def _has_a_day(rule: Any) -> bool:
    """Return whether some day in a hundred years can match, so that dateutil does not search until the year 9999."""
    times = len(rule._timeset or ()) or 86400
    days = (366, 31, 7, 1)[min(rule._freq, 3)]
    if rule._bysetpos and all(abs(position) > days * times for position in rule._bysetpos):
        return False
    start = rule._dtstart.date()
    dates = (start + dt.timedelta(days=number) for number in range(_HORIZON) if start.year + number // 365 < 9990)
    return any(_can_be(rule, day, start) for day in dates)


def _can_be(rule: Any, day: dt.date, start: dt.date) -> bool:
    """Return whether a rule may have a date on that day; its weeks' numbers and Easter are not looked at."""
    last = (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
    month_days = {*(rule._bymonthday or ()), *(rule._bynmonthday or ())}
    if rule._bymonth and day.month not in rule._bymonth:
        return False
    if month_days and not {day.day, day.day - last.day - 1} & month_days:
        return False
    if rule._byweekday and day.weekday() not in rule._byweekday:
        return False
    if rule._bynweekday and not _nth_weekdays(rule, day, last) & set(rule._bynweekday):
        return False
    every, months = rule._interval, (day.year - start.year) * 12 + day.month - start.month
    passed = {0: day.year - start.year, 1: months, 3: (day - start).days}.get(rule._freq, 0)
    return bool(passed % every == 0)


def _nth_weekdays(rule: Any, day: dt.date, last: dt.date) -> set[tuple[int, int]]:
    """Return the day as the n-th weekday of its month, or of its year for a yearly rule without months."""
    if rule._freq == 0 and not rule._bymonth:
        first, last = day.replace(month=1, day=1), day.replace(month=12, day=31)
    else:
        first = day.replace(day=1)
    return {(day.weekday(), (day - first).days // 7 + 1), (day.weekday(), -((last - day).days // 7 + 1))}


def _in(zone: zoneinfo.ZoneInfo, local: dt.datetime) -> dt.datetime:
    """Return the instant of a time on the clock; one that the clocks skip is an hour later."""
    return local.replace(tzinfo=zone).astimezone(dt.UTC).astimezone(zone)


@functools.cache
def croniter() -> Any:
    """Return the croniter that Prefect's server validates with, without the two seconds of importing Prefect.

    Returns None if Prefect has moved it; the server then refuses a wrong cron expression at registration.
    """
    prefect = importlib.util.find_spec("prefect")
    for folder in (prefect.submodule_search_locations or ()) if prefect else ():
        file = Path(folder) / "_vendor" / "croniter" / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            "_prefect_croniter", file, submodule_search_locations=[str(file.parent)]
        )
        if file.is_file() and spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return module
    return None
