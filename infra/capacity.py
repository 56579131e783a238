"""Worst-case requests of a stack, and the number of concurrent runs that a quota allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ephemeral_dask.contract import quantities, scheduler
from infra.settings import PLATFORM, DaskProfile, FlowRun, Quota, Settings

_SPARE_PODS: Final = 5
"""Pods that rolling updates, CronJobs and migrations add temporarily."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The sum of pods' requests.

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
    """Return the requests of a number of equal pods."""
    return Size(cpu=quantities.cores(cpu), memory=quantities.memory_bytes(memory), pods=1) * pods


def run_size(flow_pod: Size, workers: Iterable[Size]) -> Size:
    """Return the requests of one run: its flow pod, its Dask scheduler and its worker groups."""
    total = flow_pod + size(scheduler.CPU_REQUEST, scheduler.MEMORY_REQUEST)
    for group in workers:
        total += group
    return total


def run(settings: Settings, flow_run: FlowRun | None = None, *, workers: int | None = None) -> Size:
    """Return the requests of one run.

    Args:
        settings: of the stack.
        flow_run: of the work pool, if it differs from the stack's.
        workers: of its Dask cluster, of the stack's worker size. When unset, the largest that a run can have: the
            ceiling, or the profile with the largest request.

    """
    flow_run = flow_run or settings.flow_run
    flow_pod = size(flow_run.cpu_request, flow_run.memory_request)
    dask = settings.dask
    if workers is not None:
        return run_size(flow_pod, [size(dask.worker_cpu, dask.worker_memory, workers)])
    candidates = [size(dask.worker_cpu, dask.worker_memory, dask.ceiling)]
    candidates += [
        size(
            profile.worker_cpu or dask.worker_cpu,
            profile.worker_memory or dask.worker_memory,
            profile.workers or dask.maximum,
        )
        + _large(profile)
        for profile in dask.profiles.values()
    ]
    largest = Size(
        cpu=max(each.cpu for each in candidates),
        memory=max(each.memory for each in candidates),
        pods=max(each.pods for each in candidates),
    )
    return run_size(flow_pod, [largest])


def platform(settings: Settings) -> Size:
    """Return the requests of server, workers, operator and reaper."""
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
    """Return the limit of concurrent runs of each work pool; None for no limit.

    With a quota, as many as it holds at their largest: further runs wait in Prefect instead of failing in Kubernetes.
    Pools without their own limit share what the others leave.
    """
    explicit = {name: pool.concurrency_limit for name, pool in settings.work_pools.items()}
    if settings.quota is None:
        return explicit
    rest = _runs(settings, settings.quota) - sum(limit for limit in explicit.values() if limit)
    sharing = sum(1 for limit in explicit.values() if limit is None)
    return {name: limit or max(1, rest // sharing) for name, limit in explicit.items()}


def quota_error(settings: Settings) -> str | None:
    """Return why the quota cannot hold the runs that the settings allow, or None."""
    quota = settings.quota
    if quota is None:
        return None
    runs = sum(pool.concurrency_limit or 1 for pool in settings.work_pools.values())
    if _runs(settings, quota) >= runs:
        return None
    need = platform(settings) + run(settings) * runs
    return (
        f"quota holds {quota.cpu} cores, {quota.memory} and {quota.pods} pods; the platform and {runs} run(s) at the"
        f" ceiling of {settings.dask.ceiling} Dask workers, or of the largest profile, need {need.cpu:g} cores,"
        f" {gibibytes(need.memory)} and {need.pods} pods: raise quota, or lower dask.ceiling, the workers' size,"
        " the profiles or the pools' concurrencyLimit"
    )


def gibibytes(count: int) -> str:
    """Return bytes as a readable Kubernetes quantity, such as `1.5Gi`."""
    return f"{count / 2**30:.3g}Gi"


def _large(profile: DaskProfile) -> Size:
    large = profile.large_workers
    return size(large.cpu, large.memory, large.maximum) if large else Size(cpu=0, memory=0, pods=0)


def _component(name: str, cpu: str | None, memory: str | None, pods: int) -> Size:
    default_cpu, default_memory, _ = PLATFORM[name]
    return size(cpu or default_cpu, memory or default_memory, pods)


def _runs(settings: Settings, quota: Quota) -> int:
    """Return how many runs at their largest fit into the quota beside the platform."""
    base = platform(settings)
    one = max((run(settings, pool.flow_run) for pool in settings.work_pools.values()), key=lambda each: each.memory)
    return min(
        # The epsilon makes up for cores that are not exact as floats, such as 0.1.
        int((quantities.cores(quota.cpu) - base.cpu) / one.cpu + 1e-9),
        (quantities.memory_bytes(quota.memory) - base.memory) // one.memory,
        (quota.pods - base.pods) // one.pods,
    )
