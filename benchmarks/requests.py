"""The targets for requests to Kubernetes of what starts together, and the table of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MOST: Final = 40
"""The most requests of one that starts alone."""

GROWTH: Final = 1.2
"""The most requests of each among the largest number that starts together, in those of one that starts alone."""


def table(title: str, counts: Sequence[int], rows: Mapping[str, Sequence[str]]) -> str:
    """Return a Markdown table with a column for each number that started together.

    Args:
        title: of the columns.
        counts: how many started together.
        rows: title of a row -> its cell in each column.

    """
    lines = [f"| {title} | {' | '.join(map(str, counts))} |", f"|---|{'---|' * len(counts)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def misses(requests: Mapping[int, float], one: str) -> list[str]:
    """Return a sentence for each target that is missed.

    Args:
        requests: how many started together -> requests of each.
        one: what starts, in the singular.

    """
    first, last = min(requests), max(requests)
    missed = []
    if requests[first] > MOST:
        missed.append(f"{requests[first]:.0f} requests of a {one}, and at most {MOST} is the target")
    if requests[last] > GROWTH * requests[first]:
        missed.append(f"{last} at once: {requests[last]:.0f} requests per {one}, {requests[first]:.0f} of one alone")
    return missed
