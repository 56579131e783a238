"""Which size the next run should ask for, by what this one used. Pure.

Memory: Dask moves results to disk when a worker's process is above 70 % of its limit
(`distributed.worker.memory.spill`), or its results are above `target` (`ephemeral_dask.worker_memory`). The size that
is proposed keeps the largest worker below both (https://distributed.dask.org/en/stable/worker-memory.html).

Processor: a request is what a busy node leaves to a pod, not a limit. Kubernetes' VerticalPodAutoscaler recommends what
nine of ten measurements are not above, and 15 % on top; so does this
(https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/flags.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ephemeral_dask import worker_memory
from ephemeral_dask.contract.quantities import SMALLEST_WORKER_MEMORY

if TYPE_CHECKING:
    from ephemeral_dask.usage import GroupUsage

_SPILL: Final = 0.7
_MARGIN: Final = 1.15

_GIB: Final = 2**30
_MIB: Final = 2**20

_STEPS: Final = ((_GIB, 128 * _MIB), (4 * _GIB, 256 * _MIB), (math.inf, _GIB))
"""Up to this many bytes, sizes are multiples of so many."""

_CPU_STEP: Final = 0.1

_MEMORY_WORTH: Final = 0.1
_CPU_WORTH: Final = 0.2
"""Share of a request by which another one must differ to be worth a sentence."""

_REPORTS: Final = 20
"""Reports of busy workers that say what is usual: ten seconds of one worker."""

_IDLE: Final = 0.5
_IDLE_SECONDS: Final = 300.0
"""From this share and this sum of idle time on, there were too many workers."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the workers of one size were given, and the keys that change it.

    Attributes:
        who: such as `worker`.
        memory: bytes of a pod, or of a process on this machine.
        memory_text: the same as the run's settings write it.
        outside: bytes of it that Dask does not count, as those of a nanny.
        memory_key: what to write for another size, such as `dask_worker_memory`.
        cpu: cores of the request; 0 where nothing was requested.
        cpu_text: the same as the run's settings write it.
        cpu_key: such as `dask_worker_cpu`.
        here: whether it is a process on this machine, whose size no key changes.

    """

    who: str
    memory: int
    memory_text: str
    outside: int
    memory_key: str
    cpu: float
    cpu_text: str
    cpu_key: str
    here: bool = False


def next_sizes(asked: Asked, used: GroupUsage, *, deaths: int) -> list[str]:
    """Return a sentence for each size that should be another one.

    Args:
        asked: what the workers were given.
        used: what they used.
        deaths: workers of the run that were lost: what those used at their end is not known.

    """
    return [*_memory(asked, used, deaths), *_cpu(asked, used)]


def fewer_workers(used: GroupUsage, *, minimum: int, scaling: str, adaptive: bool) -> list[str]:
    """Return a sentence if the workers had no task for most of their time, with what would change that."""
    if used.idle_seconds < _IDLE_SECONDS or used.idle_seconds < _IDLE * used.seconds:
        return []
    idle = f"the workers had no task for {percent(used.idle_seconds, used.seconds)} of their time"
    if minimum > 1:
        return [f"`dask_minimum: 1` would have been cheaper: {idle}"]
    return [f"`dask_scaling: cheap` would have been cheaper: {idle}"] if adaptive and scaling == "fast" else []


def size_for(used: GroupUsage, outside: int) -> int:
    """Return the bytes of a pod in which the largest worker would not have spilled."""
    most = (used.memory_peak + used.spilled_peak) / _SPILL
    results = (used.managed_peak + worker_memory.PROCESS) / worker_memory.SHARE if used.managed_peak else 0
    return _rounded(max(most, results) + outside)


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def memory(size: float) -> str:
    """Return bytes as a person reads them."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def quantity(size: int) -> str:
    """Return whole MiB as a Kubernetes quantity."""
    return f"{size // _GIB}Gi" if size % _GIB == 0 else f"{size // _MIB}Mi"


def _rounded(size: float) -> int:
    step = next(step for until, step in _STEPS if size <= until)
    return max(math.ceil(size / step) * step, math.ceil(SMALLEST_WORKER_MEMORY / step) * step)


def _memory(asked: Asked, used: GroupUsage, deaths: int) -> list[str]:
    if not used.memory_peak:
        return []
    proposed = size_for(used, asked.outside)
    largest = f"the largest {asked.who} used {memory(used.memory_peak)} of {asked.memory_text}"
    spilled = f"and had {memory(used.spilled_peak)} more on disk"
    key = f"`{asked.memory_key}: {quantity(proposed)}`"
    if asked.here:
        disk = f", {spilled}" if used.spilled_peak else ""
        return [f"{key} is enough in Kubernetes: {largest} on this machine{disk}"]
    if used.spilled_peak and proposed > asked.memory:
        return [f"{key} would have kept all results in memory: {largest}, {spilled}"]
    if proposed > (1 - _MEMORY_WORTH) * asked.memory:
        return []
    if deaths:
        lost = "1 worker was" if deaths == 1 else f"{deaths} workers were"
        return [f"`{asked.memory_key}` stays as it is, although {largest}: {lost} lost, after an unknown use"]
    return [f"{key} would have been enough: {largest}"]


def _cpu(asked: Asked, used: GroupUsage) -> list[str]:
    if asked.here or not asked.cpu or used.busy_reports < _REPORTS:
        return []
    proposed = max(math.ceil(round(used.cpu_usual * _MARGIN / _CPU_STEP, 6)), 1) * _CPU_STEP
    if abs(proposed - asked.cpu) <= _CPU_WORTH * asked.cpu:
        return []
    key = f"`{asked.cpu_key}: {_cpu_quantity(proposed)}`"
    usual = f"a busy {asked.who} usually takes up to {used.cpu_usual:.2f} cores and requested {asked.cpu_text}"
    if proposed < asked.cpu:
        return [f"{key} would have been enough: {usual}"]
    return [f"{key} is what it needs on a node without spare cores: {usual}"]


def _cpu_quantity(cores: float) -> str:
    millicores = round(cores * 1000)
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"
