"""Schedules that Prefect takes and that mean something else than they seem to say."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from infra.prefect_yaml import dates, run_times
from infra.specs.deployment import Schedule

_FIVE: Final = 5
_ZONE: Final = re.compile(r"\b(DTSTART|RDATE|EXDATE)[^\n:]*;TZID=([^:;\n]+)", re.IGNORECASE)
_IN_UTC: Final = re.compile(r"\b(DTSTART|RDATE|EXDATE|UNTIL)[^\n;:=]*[:=][^\n;]*\d{6}Z", re.IGNORECASE)


def warnings(schedule: Schedule, raw: Mapping[str, Any], now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield key and sentence for each part that means something else; the sentence names the next three runs.

    Args:
        schedule: as it is registered.
        raw: as the file has it.
        now: an instant with a timezone.

    """
    runs = run_times.described(schedule, now)
    if runs == "never again":
        yield _kind(schedule), "has no run left, because its last date has passed; remove it, or give it a later end"
    if schedule.cron is not None:
        fields = schedule.cron.split()
        if len(fields) > _FIVE:
            what = "the sixth field is the seconds" + (" and the seventh the year" if len(fields) > _FIVE + 1 else "")
            yield "cron", f"{what}, so it runs on {runs}; write five fields if you did not mean that"
    if schedule.rrule is not None:
        yield from (("rrule", text) for text in _rule_warnings(schedule.rrule, schedule.timezone, runs))
    anchor = raw.get("anchor_date")
    if schedule.interval is not None and dates.is_timestamp(anchor) and anchor:
        yield "anchor_date", f"a number counts from 1970, so it is {schedule.anchor_date}; write the date as text"
    anchor = "" if dates.is_timestamp(anchor) else str(anchor or "")
    if schedule.interval is not None and anchor and dates.moment(anchor).tzinfo is None:
        local = dates.moment(anchor).replace(tzinfo=ZoneInfo(schedule.timezone))
        if local.utcoffset():
            text = f"has no offset, so it is taken as UTC and not as {schedule.timezone}: it runs on {runs}"
            yield "anchor_date", f"{text}; write {local.isoformat()} if you meant that"


def never_comes(schedule: Schedule, now: dt.datetime) -> bool:
    """Return whether Prefect's server fails on the schedule, or searches without end, because it has no date at all."""
    try:
        run_times.next_runs(schedule, now)
    except run_times.NeverError:
        return True
    return False


def _kind(schedule: Schedule) -> str:
    return "cron" if schedule.cron is not None else "rrule" if schedule.rrule is not None else "interval"


def _rule_warnings(rule: str, timezone: str, runs: str) -> Iterator[str]:
    for part, zone in _ZONE.findall(rule):
        if zone.strip() != timezone:
            what = f"the TZID of {part.upper()} is not used: the times are those of {timezone}, so it runs on {runs}"
            yield f"{what}; write `timezone: {zone.strip()}` and no TZID if you meant that"
            return
    named = {part.upper() for part in _IN_UTC.findall(rule)}
    if named and ZoneInfo(timezone) != ZoneInfo("UTC") and timezone not in _UTC_NAMES:
        parts = " and ".join(sorted(named))
        what = f"the Z of {parts} is not used: the times are those of {timezone}, so it runs on {runs}"
        yield f"{what}; write `timezone: UTC`, or the time in {timezone} without Z"


_UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC", "Etc/GMT", "GMT", "Zulu", "Etc/Zulu", "Etc/UCT", "UCT", "Universal"})
