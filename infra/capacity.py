"""How much the stack can take at its worst, and how many runs a quota therefore allows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ephemeral_dask.contract import quantities, scheduler
from infra.settings import PLATFORM, DaskProfile, FlowRun, Settings

_SPARE_PODS: Final = 5
"""Pods of one component that a rolling update, a CronJob or a migration may add for a moment."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What pods request together.

    Attributes:
        cpu: cores.
        memory: bytes.
        pods: their number.

    """

    cpu: float
    memory: int
    pods: int

    def __add__(self, other: Size) -> Size:
        return Size(cpu=self.cpu + other.cpu, memory=self.memory + other.memory, pods=self.pods + other.pods)

    def __mul__(self, times: int) -> Size:
        return Size(cpu=self.cpu * times, memory=self.memory * times, pods=self.pods * times)


def size(cpu: str, memory: str, pods: int = 1) -> Size:
    """Return what so many pods of one kind request."""
    return Size(cpu=quantities.cores(cpu), memory=quantities.memory_bytes(memory), pods=1) * pods


def run(settings: Settings, flow_run: FlowRun | None = None, *, workers: int | None = None) -> Size:
    """Return what one run requests: its own pod, its scheduler and its workers.

    Args:
        settings: the stack's.
        flow_run: of the pool, where it differs from the stack's.
        workers: of its Dask cluster, of the stack's size; when unset, as many as the ceiling allows, or what the most
            demanding profile asks for where that is more.

    """
    flow_run = flow_run or settings.flow_run
    dask = settings.dask
    pods = size(flow_run.cpu_request, flow_run.memory_request) + size(scheduler.CPU_REQUEST, scheduler.MEMORY_REQUEST)
    if workers is not None:
        return pods + size(dask.worker_cpu, dask.worker_memory, workers)
    asked = [size(dask.worker_cpu, dask.worker_memory, dask.ceiling)]
    asked += [
        size(
            profile.worker_cpu or dask.worker_cpu,
            profile.worker_memory or dask.worker_memory,
            profile.workers or dask.maximum,
        )
        + _large(profile)
        for profile in dask.profiles.values()
    ]
    most = (max(one.cpu for one in asked), max(one.memory for one in asked), max(one.pods for one in asked))
    return pods + Size(cpu=most[0], memory=most[1], pods=most[2])


def platform(settings: Settings) -> Size:
    """Return what server, workers, operator and reaper request."""
    parts: list[Size] = []
    if settings.prefect.mode == "embedded":
        server = settings.prefect
        parts.append(_component("server", server.pod.cpu_request, server.pod.memory_request, server.replicas))
        if server.background_services == "apart":
            parts.append(_component("services", server.pod.cpu_request, server.pod.memory_request, 1))
    for pool in settings.work_pools.values():
        worker = pool.worker or settings.worker
        parts.append(_component("worker", worker.pod.cpu_request, worker.pod.memory_request, worker.replicas))
    if settings.dask.operator.mode == "install":
        pod = settings.dask.operator.pod
        parts.append(_component("operator", pod.cpu_request, pod.memory_request, 1))
    parts.append(_component("reaper", None, None, 1))
    total = Size(cpu=0, memory=0, pods=_SPARE_PODS)
    for part in parts:
        total += part
    return total


def concurrency(settings: Settings) -> dict[str, int | None]:
    """Return work pool -> runs that may be under way at the same time.

    With a quota, as many as it holds at their largest, so that a busy namespace makes runs wait in Prefect
    instead of failing in Kubernetes. Pools without a limit of their own share what the others leave.
    """
    explicit = {name: pool.concurrency_limit for name, pool in settings.work_pools.items()}
    if settings.quota is None:
        return explicit
    left = _runs(settings) - sum(limit for limit in explicit.values() if limit)
    sharing = sum(1 for limit in explicit.values() if limit is None)
    return {name: limit or max(1, left // sharing) for name, limit in explicit.items()}


def quota_error(settings: Settings) -> str | None:
    """Return why the quota cannot hold what the settings ask for, or nothing."""
    if settings.quota is None:
        return None
    quota, needs = settings.quota, platform(settings)
    one = run(settings)
    most = _runs(settings)
    explicit = sum(pool.concurrency_limit or 1 for pool in settings.work_pools.values())
    if most >= explicit:
        return None
    wanted = needs + one * explicit
    return (
        f"quota holds {quota.cpu} cores, {quota.memory} and {quota.pods} pods; the platform and {explicit} run(s) at "
        f"the ceiling of {settings.dask.ceiling} Dask workers, or of the largest profile, need {wanted.cpu:g} cores, "
        f"{gibibytes(wanted.memory)} and {wanted.pods} pods: raise quota, or lower dask.ceiling, the workers' size, "
        "the profiles or the pools' concurrencyLimit"
    )


def gibibytes(count: int) -> str:
    """Return bytes as a Kubernetes quantity that people read: `1.5Gi`."""
    return f"{count / 2**30:.3g}Gi"


def _large(profile: DaskProfile) -> Size:
    large = profile.large_workers
    return size(large.cpu, large.memory, large.maximum) if large else Size(cpu=0, memory=0, pods=0)


def _component(name: str, cpu: str | None, memory: str | None, pods: int) -> Size:
    default_cpu, default_memory, _ = PLATFORM[name]
    return size(cpu or default_cpu, memory or default_memory, pods)


def _runs(settings: Settings) -> int:
    """Return how many runs at their largest fit into the quota beside the platform."""
    if settings.quota is None:
        raise ValueError("there is no quota to fit runs into")
    needs = platform(settings)
    one = max((run(settings, pool.flow_run) for pool in settings.work_pools.values()), key=lambda each: each.memory)
    quota = settings.quota
    return min(
        int((quantities.cores(quota.cpu) - needs.cpu) / one.cpu + 1e-9),
        (quantities.memory_bytes(quota.memory) - needs.memory) // one.memory,
        (quota.pods - needs.pods) // one.pods,
    )
