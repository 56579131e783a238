"""Which live schedule a declared one is: by its slug, else by what it says, and only then by its position."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.registration import schedules
from infra.specs.deployment import Schedule

Fields = dict[str, Any]


def _live(id_: str, slug: str | None, cron: str, *, active: bool = True, timezone: str = "UTC") -> Fields:
    schedule = {"cron": cron, "day_or": True, "timezone": timezone}
    return {"id": id_, "slug": slug, "active": active, "schedule": schedule, "parameters": {}}


def _declared(*crons: str, **named: str) -> Fields:
    unnamed = [Schedule(slug=f"schedule-{number}", cron=cron) for number, cron in enumerate(crons, 1)]
    return schedules.declared((*unnamed, *(Schedule(slug=slug, cron=cron) for slug, cron in named.items())))


def _after(live: list[Fields], declared: Fields) -> dict[str, tuple[str, bool]]:
    """Return slug -> cron and whether it is active, after the requests of a plan; slugs stay unique on the way."""
    plan = schedules.plan(live, declared)
    items = {item["id"]: dict(item) for item in live if item["id"] not in plan.delete}
    for id_, sent in plan.change:
        assert sent["slug"] not in [item["slug"] for other, item in items.items() if other != id_]
        items[id_] |= sent
    for sent in plan.create:
        assert sent["slug"] not in [item["slug"] for item in items.values()]
        items[sent["slug"]] = {"active": True, **sent}
    return {item["slug"]: (item["schedule"]["cron"], item["active"]) for item in items.values()}


TWO = [_live("A", "schedule-1", "0 2 * * *", active=False), _live("B", "schedule-2", "0 9 * * *")]


def test_removing_a_paused_schedule_leaves_the_next_one_active() -> None:
    plan = schedules.plan(TWO, _declared("0 9 * * *"))
    assert (plan.delete, [id_ for id_, _ in plan.change], plan.resumed) == (["A"], ["B"], [])
    assert _after(TWO, _declared("0 9 * * *")) == {"schedule-1": ("0 9 * * *", True)}


def test_a_line_in_front_moves_no_pause() -> None:
    declared = _declared("0 1 * * *", "0 2 * * *", "0 9 * * *")
    assert _after(TWO, declared) == {
        "schedule-1": ("0 1 * * *", True),
        "schedule-2": ("0 2 * * *", False),
        "schedule-3": ("0 9 * * *", True),
    }


def test_swapped_lines_move_no_pause() -> None:
    assert _after(TWO, _declared("0 9 * * *", "0 2 * * *")) == {
        "schedule-1": ("0 9 * * *", True),
        "schedule-2": ("0 2 * * *", False),
    }


def test_another_schedule_in_the_place_of_a_paused_one_is_active() -> None:
    plan = schedules.plan(TWO, _declared("0 3 * * *", "0 9 * * *"))
    assert (plan.delete, plan.create, plan.resumed) == ([], [], ["schedule-1"])
    assert _after(TWO, _declared("0 3 * * *", "0 9 * * *"))["schedule-1"] == ("0 3 * * *", True)


def test_a_live_schedule_without_a_slug_is_adopted() -> None:
    live = [_live("X", None, "0 2 * * *", active=False)]
    plan = schedules.plan(live, _declared("0 2 * * *"))
    assert (plan.delete, plan.create) == ([], [])
    assert _after(live, _declared("0 2 * * *")) == {"schedule-1": ("0 2 * * *", False)}


@pytest.mark.parametrize("declared", [_declared(morning="0 2 * * *"), _declared("0 9 * * *", morning="0 2 * * *")])
def test_a_schedule_that_gets_a_slug_keeps_its_pause(declared: Fields) -> None:
    assert _after(TWO, declared)["morning"] == ("0 2 * * *", False)


def test_a_pause_belongs_to_the_slug_where_the_file_has_one() -> None:
    live = [_live("A", "morning", "0 2 * * *", active=False)]
    assert _after(live, _declared(morning="0 3 * * *")) == {"morning": ("0 3 * * *", False)}


def test_a_slug_of_the_file_wins_over_what_another_says() -> None:
    live = [_live("A", "a", "0 2 * * *", active=False), _live("B", "b", "0 9 * * *")]
    assert _after(live, _declared(a="0 9 * * *", b="0 2 * * *")) == {
        "a": ("0 9 * * *", False),
        "b": ("0 2 * * *", True),
    }


def test_a_replacement_of_all_keeps_every_pause() -> None:
    sent = schedules.replacement(TWO, _declared("0 2 * * *", "0 3 * * *"))
    assert [(each["slug"], each["active"]) for each in sent] == [("schedule-1", False), ("schedule-2", True)]


_crons = st.lists(st.sampled_from([f"0 {hour} * * *" for hour in range(5)]), max_size=5, unique=True)


@given(before=_crons, after=_crons, paused=st.sets(st.sampled_from([f"0 {hour} * * *" for hour in range(5)])))
def test_whatever_is_added_removed_or_moved_the_paused_recurrences_are_paused(
    before: list[str], after: list[str], paused: set[str]
) -> None:
    live = [
        _live(f"id-{number}", f"schedule-{number}", cron, active=cron not in paused)
        for number, cron in enumerate(before, 1)
    ]
    result = _after(live, _declared(*after))
    assert [cron for cron, _ in (result[f"schedule-{number}"] for number in range(1, len(after) + 1))] == after
    assert {cron for cron, active in result.values() if not active} == paused & set(before) & set(after)
