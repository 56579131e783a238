"""When a schedule runs next, as Prefect itself computes it: daylight saving, anchors and `day_or` included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from tools.summary.differences import unknown
from tools.summary.events import SECRET

SHOWN: Final = 3
"""Run times that are shown of each schedule."""


def describe(schedule: Mapping[str, Any], now: datetime) -> str:
    """Return when a schedule runs next, in its own timezone.

    Args:
        schedule: fields of a declared schedule, see `infra.registration.schedules`.
        now: an instant with a timezone.

    """
    if unknown(schedule) or SECRET in schedule.values():
        return "known after the update"
    zone = str(schedule.get("timezone") or "UTC")
    if "interval" in schedule and "anchor_date" not in schedule:
        return f"every {_span(float(schedule['interval']))}, counted from its registration"
    try:
        times = asyncio.run(_schedule(schedule, zone).get_dates(SHOWN, start=now))
    except (ValueError, KeyError) as error:
        return f"the next run times are not known ({str(error).splitlines()[0]})"
    if not times:
        return "never"
    shown = ", ".join(time.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M") for time in times)
    return f"{shown} {zone}"


def _schedule(schedule: Mapping[str, Any], zone: str) -> Any:
    # Seconds to import, and a preview without a schedule needs none of it.
    from prefect.server.schemas import schedules  # noqa: PLC0415

    if "cron" in schedule:
        return schedules.CronSchedule(cron=schedule["cron"], timezone=zone, day_or=schedule.get("day_or", True))
    if "interval" in schedule:
        anchor = datetime.fromisoformat(str(schedule["anchor_date"]))
        fields = {"interval": schedule["interval"], "anchor_date": anchor, "timezone": zone}
        return schedules.IntervalSchedule.model_validate(fields)
    return schedules.RRuleSchedule(rrule=schedule["rrule"], timezone=zone)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
