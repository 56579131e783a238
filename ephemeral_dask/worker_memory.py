"""How much of a worker's memory results may take before Dask moves some of them to disk."""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.6
"""What results and process together may take of the limit: Dask's own `distributed.worker.memory.target`."""

PROCESS: Final = 150 * 2**20
"""Bytes of a worker's process without a result, with Prefect imported: 148 MiB at the end of a run of flow `primes`.

Dask's target counts results alone. In a small worker, process and results at 60 % leave no room for a result that is
being read from disk, which is there twice for a moment, and the nanny restarts the worker at 95 %.
"""

_LEAST: Final = 0.1


def target(limit: int) -> float:
    """Return `distributed.worker.memory.target` for a worker.

    Args:
        limit: bytes that Dask may use (`--memory-limit`).

    """
    return max(_LEAST, round(SHARE - PROCESS / limit, 3))
