"""Which of the runs are killed, and when: the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Victim = Literal["flow pod", "scheduler", "worker"]

VICTIMS: Final[tuple[Victim, ...]] = ("flow pod", "scheduler", "worker")

SHARE: Final = 0.3
"""Share of the runs of which a pod is killed."""

LATEST: Final = 40.0
"""Seconds after a run's creation until which its pod is chosen: on a small machine a run takes about as long."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A pod that is deleted without a grace period.

    Attributes:
        victim: which of the run's pods.
        after: seconds since the run was created; the next moment at which there is such a pod counts.

    """

    victim: Victim
    after: float


def kills(runs: int, seed: int) -> list[Kill | None]:
    """Return for each run what is killed of it, or None."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    struck = set(chance.sample(range(runs), round(runs * SHARE)))
    return [
        Kill(victim=chance.choice(VICTIMS), after=chance.uniform(0, LATEST)) if number in struck else None
        for number in range(runs)
    ]
