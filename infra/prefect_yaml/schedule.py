"""One schedule of prefect.yaml, checked as far as it can be without a server."""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import importlib.util
import json
import sys
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.prefect_yaml import duration
from infra.prefect_yaml.document import nearest
from infra.specs.deployment import Schedule

KEYS: Final = (
    "cron",
    "interval",
    "rrule",
    "timezone",
    "anchor_date",
    "active",
    "parameters",
    "slug",
    "replaces",
    "day_or",
)
_KINDS: Final = ("cron", "interval", "rrule")


class ScheduleError(Exception):
    """A schedule is wrong.

    Attributes:
        key: the key that is.

    """

    def __init__(self, key: str, text: str) -> None:
        """Take the key, and a sentence with its remedy."""
        super().__init__(text)
        self.key = key


def parse_schedule(raw: Mapping[str, Any], number: int) -> Schedule:
    """Read one schedule.

    Args:
        raw: as it stands in the file.
        number: its place in the list from 1, which names it when it has no slug. Prefect cannot tell schedules
            without slugs apart, and would forget which of them was paused.

    Raises:
        ScheduleError: what is wrong first.

    """
    for key in raw:
        if key not in KEYS:
            raise ScheduleError(key, f"a schedule has no key '{key}'; {nearest(key, KEYS)}")
    given = [key for key in _KINDS if raw.get(key) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise ScheduleError(given[-1] if given else "", f"a schedule has {found}; give one of cron, interval, rrule")
    timezone = _timezone(raw.get("timezone"))
    rule: str | None = None
    if given == ["rrule"]:
        rule, timezone = _rrule(raw["rrule"], timezone)
    return Schedule(
        slug=str(raw.get("slug") or f"schedule-{number}"),
        cron=_cron(raw["cron"]) if given == ["cron"] else None,
        interval=_seconds(raw["interval"]) if given == ["interval"] else None,
        rrule=rule,
        timezone=timezone or "UTC",
        anchor_date=_anchor(raw.get("anchor_date"), given[0]),
        day_or=_flag("day_or", raw.get("day_or")) is not False,
        active=_flag("active", raw.get("active")),
        parameters=_mapping("parameters", raw.get("parameters")),
        replaces=str(raw["replaces"]) if raw.get("replaces") else None,
    )


def _cron(value: Any) -> str:
    if not isinstance(value, str):
        raise ScheduleError("cron", "cron is no text; put five fields in quotes, such as '0 6 * * *'")
    croniter = _croniter()
    if croniter is not None:
        try:
            croniter.croniter(value)
        except ValueError as error:
            reason = str(error).removeprefix(f"[{value}] ").removeprefix("is not acceptable, ").rstrip(".")
            text = f"cron '{value}' is not valid ({reason}); write five fields, such as '0 6 * * *'"
            raise ScheduleError("cron", text) from None
    if {"r", "h"} & set(value.lower().split()):
        raise ScheduleError("cron", f"cron '{value}' asks for random or hashed times, which Prefect refuses")
    return value


@functools.cache
def _croniter() -> Any:
    """Return the very croniter that Prefect's server judges with, without the two seconds of importing Prefect.

    None when a future Prefect keeps it elsewhere: the server still judges, only later.
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


def _seconds(value: Any) -> float:
    seconds = duration.seconds(value)
    if seconds is None or seconds <= 0:
        text = f"interval '{value}' is no positive time; write seconds, PT1H or 01:00:00"
        raise ScheduleError("interval", text)
    return seconds


def _rrule(value: Any, timezone: str | None) -> tuple[str, str | None]:
    rule, zone = value, timezone
    if isinstance(value, str) and value.lstrip().startswith("{"):
        # Prefect's older form: the whole schedule as JSON.
        try:
            whole = json.loads(value)
            rule, zone = whole["rrule"], timezone or _timezone(whole.get("timezone"))
        except (ValueError, KeyError):
            raise ScheduleError("rrule", "rrule is no JSON with the key rrule; write the rule itself") from None
    if not isinstance(rule, str):
        raise ScheduleError("rrule", "rrule is no text; write one such as FREQ=DAILY;BYHOUR=6")
    try:
        importlib.import_module("dateutil.rrule").rrulestr(rule, cache=True)
    except ValueError as error:
        text = f"rrule '{rule}' is not valid ({error}); write one such as FREQ=DAILY;BYHOUR=6"
        raise ScheduleError("rrule", text) from None
    return rule, zone


def _timezone(value: Any) -> str | None:
    if value is None:
        return None
    try:
        zoneinfo.ZoneInfo(str(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = nearest(str(value), sorted(zoneinfo.available_timezones()))
        hint = close if close.startswith("did") else "write one such as Europe/Berlin"
        raise ScheduleError("timezone", f"there is no timezone '{value}'; {hint}") from None
    return str(value)


def _anchor(value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if kind != "interval":
        raise ScheduleError("anchor_date", "anchor_date belongs to an interval; remove it")
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        text = f"anchor_date '{value}' is no date; write one such as 2026-01-01T06:00:00+01:00"
        raise ScheduleError("anchor_date", text) from None
    # Without an offset Prefect takes it as UTC, whatever the schedule's timezone is.
    moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _flag(key: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ScheduleError(key, f"{key} is '{value}'; write true or false")
    return word == "true"


def _mapping(key: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ScheduleError(key, f"{key} is no mapping; write name: value below it")
    return value
