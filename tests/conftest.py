"""Each test has the marker of its tier, and none that needs a cluster runs unless it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
TIERS: Final = ("unit", "engine", "e2e", "full")
NAMED_ONLY: Final = ("e2e", "full")
"""Tiers that take over the machine: `pytest tests` leaves them out."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its tier, and drop those of tiers that were not named."""
    deselected = []
    for item in items:
        tier = tier_of(item.path)
        if tier is None:
            continue
        item.add_marker(tier)
        if tier in NAMED_ONLY and not named(config, tier):
            deselected.append(item)
    if deselected:
        items[:] = [item for item in items if item not in set(deselected)]
        config.hook.pytest_deselected(items=deselected)


def tier_of(path: Path) -> str | None:
    """Return the folder of tests/ that a file is in; None for one outside.

    Raises:
        UsageError: the file is in another folder of tests/, so no tier would run it.

    """
    if not path.is_relative_to(TESTS):
        return None
    folder = path.relative_to(TESTS).parts[0]
    if folder not in TIERS:
        raise pytest.UsageError(f"{path} belongs to no tier: move it to one of tests/{{{','.join(TIERS)}}}")
    return folder


def named(config: pytest.Config, tier: str) -> bool:
    """Whether the command line names a tier: by a path inside its folder, or by its marker."""
    paths = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path.is_relative_to(TESTS / tier) for path in paths) or tier in config.option.markexpr.split()
