"""The operator's timers, which end with their object and put no finalizer on it."""

from __future__ import annotations

import asyncio

import kopf

from ops import finalizers
from ops import operator as _operator  # noqa: F401  it installs them


def test_no_timer_of_the_operator_asks_for_a_finalizer() -> None:
    timers = kopf.get_default_registry()._spawning._handlers
    assert timers
    assert not any(timer.requires_finalizer for timer in timers)


def test_a_timer_ends_when_its_object_was_deleted() -> None:
    [timer, *_] = kopf.get_default_registry()._spawning._handlers
    assert timer.when is not None
    for type_ in ("ADDED", "MODIFIED", None):
        asyncio.run(finalizers.note(event={"type": type_, "object": {}}, uid="u1"))  # type: ignore[typeddict-item]
    assert timer.when(uid="u1")
    asyncio.run(finalizers.note(event={"type": "DELETED", "object": {}}, uid="u1"))  # type: ignore[typeddict-item]
    assert not timer.when(uid="u1")
    assert timer.when(uid="u2")


def test_the_uids_of_deleted_objects_do_not_pile_up() -> None:
    for number in range(3000):
        asyncio.run(finalizers.note(event={"type": "DELETED", "object": {}}, uid=str(number)))  # type: ignore[typeddict-item]
    assert len(finalizers._gone) == 1000
