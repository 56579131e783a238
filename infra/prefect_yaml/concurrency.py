"""The key `concurrency_limit` of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast, get_args

from infra.prefect_yaml.keys import CONCURRENCY_LIMIT
from infra.prefect_yaml.reader import Reader
from infra.prefect_yaml.values import integer
from infra.specs.deployment import CollisionStrategy

_KEY: Final = "concurrency_limit"
_STRATEGIES: Final[tuple[str, ...]] = get_args(CollisionStrategy)
_GRACE_PERIOD: Final = (60, 86400)
"""Seconds that Prefect's server accepts, from `ConcurrencyOptions` in prefect/server/schemas/core.py."""


@dataclass(frozen=True, kw_only=True)
class ConcurrencyLimit:
    """How many runs of a deployment may be active at the same time.

    Attributes:
        limit: number of runs; no limit if None.
        collision_strategy: what happens to a run beyond the limit.
        grace_period_seconds: how long a run may take to start before it loses its slot.

    """

    limit: int | None = None
    collision_strategy: CollisionStrategy | None = None
    grace_period_seconds: int | None = None


def parse_concurrency_limit(reader: Reader) -> ConcurrencyLimit:
    """Read the limit: a number, or a mapping with further options."""
    raw = reader.values.get(_KEY)
    section = reader.mapping(_KEY, known=CONCURRENCY_LIMIT) if isinstance(raw, dict) else {"limit": raw}
    limit = integer(section.get("limit"))
    if section.get("limit") is not None and (limit is None or limit < 1):
        reader.error((_KEY,), f"{_KEY} is '{section['limit']}'; write an integer of at least 1")
    strategy = section.get("collision_strategy")
    if strategy is not None and strategy not in _STRATEGIES:
        message = f"collision_strategy is '{strategy}'; write {' or '.join(_STRATEGIES)}"
        reader.error((_KEY, "collision_strategy"), f"{_KEY}: {message}")
    shortest, longest = _GRACE_PERIOD
    grace = integer(section.get("grace_period_seconds"))
    if section.get("grace_period_seconds") is not None and not (grace and shortest <= grace <= longest):
        message = f"grace_period_seconds is '{section['grace_period_seconds']}'; write {shortest} to {longest}"
        reader.error((_KEY, "grace_period_seconds"), f"{_KEY}: {message}")
    if grace is not None and strategy is None:
        # Prefect stores the period in the same record as the strategy, which is required there.
        strategy = "ENQUEUE"
    return ConcurrencyLimit(
        limit=limit, collision_strategy=cast("CollisionStrategy | None", strategy), grace_period_seconds=grace
    )
