from __future__ import annotations

import asyncio
import logging
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
