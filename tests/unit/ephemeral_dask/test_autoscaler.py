from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from ephemeral_dask.autoscaler import Autoscaler, Group
from ephemeral_dask.groups import LARGE, ORDINARY
from ephemeral_dask.scaling import Decision


class FakeScheduler:
    """Answers for two groups; `joined` is what the test makes of them."""

    def __init__(self, joined: dict[str, int]) -> None:
        self.joined = joined
        self.calls: list[str] = []

    async def register_scheduler_plugin(self, **_: Any) -> None:
        self.calls.append("installed")

    async def group_demand(self) -> dict[str, tuple[int, int]]:
        return {group: (count, 0) for group, count in self.joined.items()}

    async def group_turn(self, group: str) -> None:
        self.calls.append(f"turn of {group}")


def test_one_group_shrinks_after_the_other_because_the_operator_retires_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.01)
    scheduler = FakeScheduler({ORDINARY: 2, LARGE: 2})
    shrunk = {name: asyncio.Event() for name in (ORDINARY, LARGE)}

    async def scale(group: str, count: int) -> None:
        scheduler.calls.append(f"{group} to {count}")
        shrunk[group].set()

    async def nothing() -> str:
        return ""

    def group(name: str) -> Group:
        return Group(name, name, Decision(minimum=0, maximum=2, initial=2, stabilization=0.02))

    async def live() -> None:
        autoscaler = Autoscaler(
            scheduler,
            {name: group(name) for name in (ORDINARY, LARGE)},
            scale,
            nothing,
            large_threads=1,
            cluster="etl",
            log=logging.getLogger("test"),
        )
        autoscaler.start()
        async with asyncio.timeout(5):
            await shrunk[ORDINARY].wait()
            await asyncio.sleep(0.2)  # looks at which the operator has not retired them yet
            assert not shrunk[LARGE].is_set()
            scheduler.joined[ORDINARY] = 0
            await shrunk[LARGE].wait()
        await autoscaler.stop()

    asyncio.run(live())
    assert scheduler.calls == ["installed", f"turn of {ORDINARY}", "ordinary to 0", f"turn of {LARGE}", "large to 0"]


class LateWorkers(FakeScheduler):
    """Has two workers from the fifth round on."""

    def __init__(self) -> None:
        super().__init__({ORDINARY: 0, LARGE: 0})
        self.rounds = 0
        self.over = asyncio.Event()

    async def group_demand(self) -> dict[str, tuple[int, int]]:
        self.rounds += 1
        self.joined[ORDINARY] = 2 if self.rounds >= 5 else 0
        if self.rounds == 10:
            self.over.set()
        return await super().group_demand()


def test_the_time_counts_in_which_workers_were_asked_for_and_had_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.01)
    moments = iter(range(0, 10000, 10))
    monkeypatch.setattr("ephemeral_dask.autoscaler.time", SimpleNamespace(monotonic=lambda: next(moments)))

    async def nothing(*_: Any) -> str:
        return ""

    async def live() -> float:
        scheduler = LateWorkers()
        decision = Decision(minimum=2, maximum=2, initial=2, stabilization=1)
        autoscaler = Autoscaler(
            scheduler,
            {ORDINARY: Group(ORDINARY, ORDINARY, decision)},
            nothing,
            nothing,
            large_threads=1,
            cluster="etl",
            log=logging.getLogger("test"),
        )
        autoscaler.start()
        await asyncio.wait_for(scheduler.over.wait(), 5)
        await autoscaler.stop()
        return autoscaler.waited

    # Two looks at the clock in each of the three rounds after the first in which they are missing.
    assert asyncio.run(live()) == 3 * 20
