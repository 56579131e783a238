"""Schedules: the same words for what is declared and what Prefect has, and the steps between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.specs.deployment import Schedule

Fields = dict[str, Any]


def declared(schedules: tuple[Schedule, ...]) -> Fields:
    """Return the schedules by slug, each without what it leaves to Prefect or to a person."""
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


def observed(live: list[Fields], wanted: Mapping[str, Fields]) -> Fields:
    """Return Prefect's schedules in the same words.

    What is not declared is left out where Prefect fills it in itself or a person may set it by hand: whether
    the schedule is active, an interval's anchor, and the start that Prefect writes into a rule that has none.
    """
    return {_slug(item): _observed(item, wanted.get(_slug(item), {})) for item in live}


def activity(live: list[Fields], wanted: Mapping[str, Fields]) -> dict[str, bool]:
    """Return which of the declared schedules are active in Prefect now, those that it has.

    A schedule from before there were slugs is known by what it says.
    """
    by_slug = {_slug(item): item for item in live}
    found: dict[str, bool] = {}
    for slug, fields in wanted.items():
        same = (item for item in live if not item["slug"] and _observed(item, fields) == fields)
        item = by_slug.get(slug) or by_slug.get(str(fields.get("replaces"))) or next(same, None)
        if item is not None:
            found[slug] = item["active"]
    return found


def _slug(item: Fields) -> str:
    return item["slug"] or f"without slug: {item['id']}"


def _observed(item: Fields, wanted: Fields) -> Fields:
    when = item["schedule"]
    fields: Fields = {"timezone": when.get("timezone") or "UTC"}
    if "cron" in when:
        fields |= {"cron": when["cron"], "day_or": when.get("day_or", True)}
    elif "interval" in when:
        fields["interval"] = _whole(when["interval"])
        if "anchor_date" in wanted:
            fields["anchor_date"] = in_utc(when["anchor_date"])
    else:
        fields["rrule"] = _without_start(when["rrule"], wanted.get("rrule", "DTSTART"))
    if "active" in wanted:
        fields["active"] = item["active"]
    if item.get("parameters"):
        fields["parameters"] = item["parameters"]
    if "replaces" in wanted:
        fields["replaces"] = wanted["replaces"]
    return fields


def _without_start(rule: str, wanted: str) -> str:
    first, _, rest = rule.partition("\n")
    return rest if first.startswith("DTSTART") and "DTSTART" not in wanted.upper() else rule


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def in_utc(text: str) -> str:
    """Return an ISO 8601 instant in UTC; one without an offset is taken as UTC, as Prefect does."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def body(slug: str, fields: Fields, live: Fields | None = None) -> Fields:
    """Return what Prefect is sent for one schedule.

    Args:
        slug: the schedule's.
        fields: as declared.
        live: Prefect's schedule that is changed: its anchor is kept where none is declared.

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
    # Parameters always: Prefect's PATCH takes their absence for an empty dictionary.
    sent = {"slug": slug, "schedule": when, "parameters": fields.get("parameters", {})}
    if "active" in fields:
        sent["active"] = fields["active"]
    return sent


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Single steps from Prefect's schedules to the declared ones.

    Attributes:
        delete: ids.
        change: id -> body.
        create: bodies.

    """

    delete: list[str] = field(default_factory=list)
    change: dict[str, Fields] = field(default_factory=dict)
    create: list[Fields] = field(default_factory=list)


def plan(live: list[Fields], wanted: Mapping[str, Fields]) -> Plan:
    """Return what must be done, schedule by schedule: to send them all would reset those paused by hand."""
    by_slug = {_slug(item): item for item in live}
    for slug, fields in wanted.items():
        if slug not in by_slug and fields.get("replaces") in by_slug:
            by_slug[slug] = by_slug.pop(fields["replaces"])
    seen = {slug: _observed(item, wanted.get(slug, {})) for slug, item in by_slug.items()}
    return Plan(
        delete=[item["id"] for slug, item in by_slug.items() if slug not in wanted],
        change={
            by_slug[slug]["id"]: body(slug, fields, by_slug[slug])
            for slug, fields in wanted.items()
            if slug in by_slug and (seen[slug] != fields or by_slug[slug]["slug"] != slug)
        },
        create=[body(slug, fields) for slug, fields in wanted.items() if slug not in by_slug],
    )
