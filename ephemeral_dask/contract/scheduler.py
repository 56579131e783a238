"""What the pod of a Dask scheduler takes: flows give it, and the stack's quota counts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ephemeral_dask.contract.quantities import cores

_SMALL: Final = 16
"""Workers up to which a scheduler has the smallest size."""

_CPU: Final = (100, 10, 1000)
_MEMORY: Final = (1024, 32, 16 * 1024)
"""Millicores and MiB of the memory limit: those of the smallest, for each further worker, and the most. A scheduler is
one process that uses one core; a worker costs it connections, and brings tasks that it keeps track of."""

_REQUESTED: Final = 4
"""The memory request is this fraction of a limit that is not set: most graphs are small."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Kubernetes quantities of one scheduler."""

    cpu: str
    memory_request: str
    memory_limit: str


def size(workers: int, *, cpu: str = "", memory: str = "") -> Size:
    """Return the size of a scheduler.

    Args:
        workers: of its cluster at most.
        cpu: the CPU request that the stack or the profile sets.
        memory: likewise, request and limit.

    """
    limit = _grown(_MEMORY, workers)
    return Size(
        cpu=cpu or _cpu(_grown(_CPU, workers)),
        memory_request=memory or f"{limit // _REQUESTED}Mi",
        memory_limit=memory or (f"{limit // 1024}Gi" if limit % 1024 == 0 else f"{limit}Mi"),
    )


def _cpu(millicores: int) -> str:
    return str(int(cores(f"{millicores}m"))) if millicores % 1000 == 0 else f"{millicores}m"


def _grown(bounds: tuple[int, int, int], workers: int) -> int:
    smallest, more, most = bounds
    return min(smallest + more * max(0, workers - _SMALL), most)
