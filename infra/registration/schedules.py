"""Schedules: declared and live ones in the same form, and the requests that turn one into the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from infra.specs.deployment import Schedule

Fields = dict[str, Any]


def declared(schedules: tuple[Schedule, ...]) -> Fields:
    """Return the schedules by slug, each without the fields that are not declared."""
    return {item.slug: _fields(item) for item in schedules}


def _fields(item: Schedule) -> Fields:
    fields: Fields = {"timezone": item.timezone}
    if item.cron is not None:
        fields |= {"cron": item.cron, "day_or": item.day_or}
    elif item.interval is not None:
        fields["interval"] = item.interval
    else:
        fields["rrule"] = item.rrule
    if item.anchor_date is not None:
        fields["anchor_date"] = item.anchor_date
    if item.active is not None:
        fields["active"] = item.active
    if item.parameters:
        fields["parameters"] = dict(item.parameters)
    if item.replaces is not None:
        fields["replaces"] = item.replaces
    return fields


def observed(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> Fields:
    """Return Prefect's schedules in the same form.

    Fields that are not declared are left out if Prefect fills them in or a person may set them: `active`, an interval's
    anchor, and the start that Prefect adds to a rule without one.
    """
    return {_slug(item): _observed(item, declared_schedules.get(_slug(item), {})) for item in live}


def activity(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> dict[str, bool]:
    """Return slug -> whether the schedule is active in Prefect, for declared schedules that exist there."""
    return {
        slug: item["active"]
        for slug, item in pairs(live, declared_schedules).items()
        if keeps_pause(slug, declared_schedules[slug], item)
    }


def pairs(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> dict[str, Fields]:
    """Return declared slug -> the live schedule that it is.

    A slug of the file names its schedule. One without is known by what it says, and only then by its position: a line
    put in front of it moves it, and another schedule that takes its place is not the one that a person has paused.
    """
    waiting = dict(declared_schedules)
    rest = list(live)
    paired: dict[str, Fields] = {}

    def pair(matches: Callable[[str, Fields, Fields], bool]) -> None:
        for slug, fields in list(waiting.items()):
            item = next((each for each in rest if matches(slug, fields, each)), None)
            if item is not None:
                paired[slug] = item
                rest.remove(item)
                del waiting[slug]

    pair(lambda slug, _, item: not _by_position(slug) and item["slug"] == slug)
    pair(lambda _, fields, item: item["slug"] is not None and item["slug"] == fields.get("replaces"))
    pair(lambda _, fields, item: _is_free(item, declared_schedules) and _same(item, fields, _SAYS))
    pair(lambda _, fields, item: _is_free(item, declared_schedules) and _same(item, fields, _RECURRENCE))
    pair(lambda slug, _, item: item["slug"] == slug)
    return {slug: paired[slug] for slug in declared_schedules if slug in paired}


def keeps_pause(slug: str, fields: Fields, item: Fields) -> bool:
    """Return whether a pause in Prefect is one of the declared schedule, and not of another in its place."""
    return not _by_position(slug) or _same(item, fields, _RECURRENCE)


def _by_position(slug: str | None) -> bool:
    return slug is None or _POSITION.fullmatch(slug) is not None


def _is_free(item: Fields, declared_schedules: Mapping[str, Fields]) -> bool:
    """Return whether no slug in the file names the live schedule."""
    return _by_position(item["slug"]) or item["slug"] not in declared_schedules


def _same(item: Fields, fields: Fields, names: tuple[str, ...]) -> bool:
    observed_fields = _observed(item, fields)
    return all(observed_fields.get(name) == fields.get(name) for name in names)


_POSITION: Final = re.compile(r"schedule-\d+")
"""A slug that this project makes of the position of a schedule without one."""

_RECURRENCE: Final = ("cron", "day_or", "interval", "anchor_date", "rrule", "timezone")
_SAYS: Final = (*_RECURRENCE, "parameters")


def _slug(item: Fields) -> str:
    return item["slug"] or f"without slug: {item['id']}"


def _observed(item: Fields, declared_fields: Fields) -> Fields:
    when = item["schedule"]
    fields: Fields = {"timezone": when.get("timezone") or "UTC"}
    if "cron" in when:
        fields |= {"cron": when["cron"], "day_or": when.get("day_or", True)}
    elif "interval" in when:
        fields["interval"] = _whole(when["interval"])
        if "anchor_date" in declared_fields:
            fields["anchor_date"] = in_utc(when["anchor_date"])
    else:
        fields["rrule"] = _without_start(when["rrule"], declared_fields.get("rrule", "DTSTART"))
    if "active" in declared_fields:
        fields["active"] = item["active"]
    if item.get("parameters"):
        fields["parameters"] = item["parameters"]
    if "replaces" in declared_fields:
        fields["replaces"] = declared_fields["replaces"]
    return fields


def _without_start(rule: str, declared_fields: str) -> str:
    first, _, rest = rule.partition("\n")
    return rest if first.startswith("DTSTART") and "DTSTART" not in declared_fields.upper() else rule


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def in_utc(text: str) -> str:
    """Return an ISO 8601 instant in UTC. Without an offset it is taken as UTC, as Prefect does."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def body(slug: str, fields: Fields, live: Fields | None = None) -> Fields:
    """Return the request body of one schedule.

    Args:
        slug: slug of the schedule.
        fields: the declared fields.
        live: Prefect's schedule that is updated; its anchor is kept if none is declared.

    """
    timezone = fields["timezone"]
    when: Fields
    if "cron" in fields:
        when = {"cron": fields["cron"], "day_or": fields["day_or"], "timezone": timezone}
    elif "interval" in fields:
        when = {"interval": fields["interval"], "timezone": timezone}
        anchor = fields.get("anchor_date") or (live or {}).get("schedule", {}).get("anchor_date")
        if anchor:
            when["anchor_date"] = anchor
    else:
        when = {"rrule": fields["rrule"], "timezone": timezone}
    # Parameters are always sent: Prefect's PATCH clears missing ones.
    sent = {"slug": slug, "schedule": when, "parameters": fields.get("parameters", {})}
    if "active" in fields:
        sent["active"] = fields["active"]
    return sent


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The requests that turn Prefect's schedules into the declared ones, in this order.

    Attributes:
        delete: ids of schedules to delete.
        change: id and body of schedules to update; one twice if its new slug is another's until that is changed, too.
        create: bodies of schedules to create.
        resumed: slugs of schedules that take the place of one that is paused, and are active.

    """

    delete: list[str] = field(default_factory=list)
    change: list[tuple[str, Fields]] = field(default_factory=list)
    create: list[Fields] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)


def plan(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> Plan:
    """Return the requests for each schedule. Sending all schedules at once would resume those paused by hand."""
    paired = pairs(live, declared_schedules)
    kept = [item["id"] for item in paired.values()]
    resumed = [
        slug
        for slug, item in paired.items()
        if not item["active"]
        and "active" not in declared_schedules[slug]
        and not keeps_pause(slug, declared_schedules[slug], item)
    ]
    changes: list[tuple[str, Fields]] = []
    for slug, item in paired.items():
        fields = declared_schedules[slug]
        if item["slug"] != slug or slug in resumed or _observed(item, fields) != fields:
            sent = body(slug, fields, item)
            changes.append((item["id"], {**sent, "active": True} if slug in resumed else sent))
    moved = [
        (item["id"], {**body(slug, declared_schedules[slug], item), "slug": f"moves-{item['id']}"})
        for slug, item in paired.items()
        if item["slug"] != slug and item["slug"] in paired
    ]
    return Plan(
        delete=[item["id"] for item in live if item["id"] not in kept],
        change=[*moved, *changes],
        create=[body(slug, fields) for slug, fields in declared_schedules.items() if slug not in paired],
        resumed=resumed,
    )


def replacement(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> list[Fields]:
    """Return the bodies of all declared schedules, each active or not as it is now."""
    paired = pairs(live, declared_schedules)
    active = activity(live, declared_schedules)
    return [
        {"active": active.get(slug, True), **body(slug, fields, paired.get(slug))}
        for slug, fields in declared_schedules.items()
    ]
