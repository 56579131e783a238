"""The releases whose internals this package relies on. With another one, tasks go Prefect's own way."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import Final

TESTED: Final = {"prefect": ((3, 8, 8), (3, 9)), "prefect-dask": ((0, 3, 7), (0, 4))}
"""The first release of each package that is tested, and the first one that is not any more; as in pyproject.toml."""


@cache
def untested() -> str | None:
    """Return which installed package is outside the tested range, or None: tasks may take the shorter way."""
    for package, (first, end) in TESTED.items():
        installed = version(package)
        numbers = tuple(int(number) for number in re.findall(r"\d+", installed)[:3])
        if not first <= numbers < end:
            return f"{package} {installed}"
    return None
