"""Schedules: declared and live ones in the same form, and the requests that turn one into the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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
    """Return slug -> whether the schedule is active in Prefect, for declared schedules that exist there.

    A live schedule without a slug, from an old version of Prefect, is matched by its content.
    """
    by_slug = {_slug(item): item for item in live}
    active: dict[str, bool] = {}
    for slug, fields in declared_schedules.items():
        same = (item for item in live if not item["slug"] and _observed(item, fields) == fields)
        item = by_slug.get(slug) or by_slug.get(str(fields.get("replaces"))) or next(same, None)
        if item is not None:
            active[slug] = item["active"]
    return active


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
    """The requests that turn Prefect's schedules into the declared ones.

    Attributes:
        delete: ids of schedules to delete.
        change: id -> body of schedules to update.
        create: bodies of schedules to create.

    """

    delete: list[str] = field(default_factory=list)
    change: dict[str, Fields] = field(default_factory=dict)
    create: list[Fields] = field(default_factory=list)


def plan(live: list[Fields], declared_schedules: Mapping[str, Fields]) -> Plan:
    """Return the requests for each schedule. Sending all schedules at once would resume those paused by hand."""
    by_slug = {_slug(item): item for item in live}
    for slug, fields in declared_schedules.items():
        if slug not in by_slug and fields.get("replaces") in by_slug:
            by_slug[slug] = by_slug.pop(fields["replaces"])
    current = {slug: _observed(item, declared_schedules.get(slug, {})) for slug, item in by_slug.items()}
    return Plan(
        delete=[item["id"] for slug, item in by_slug.items() if slug not in declared_schedules],
        change={
            by_slug[slug]["id"]: body(slug, fields, by_slug[slug])
            for slug, fields in declared_schedules.items()
            if slug in by_slug and (current[slug] != fields or by_slug[slug]["slug"] != slug)
        },
        create=[body(slug, fields) for slug, fields in declared_schedules.items() if slug not in by_slug],
    )
