"""Worst-case requests of runs, and the number of concurrent runs that a quota allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ephemeral_dask.contract import pods, quantities, scheduler
from ephemeral_dask.contract.pods import PodExtras, RunPods
from ephemeral_dask.contract.profiles import Profile
from infra.settings import DaskProfile, Quota, Settings, layers


@dataclass(frozen=True, kw_only=True)
class Size:
    """The sum of pods' requests.

    Attributes:
        cpu: cores.
        memory: bytes.
        pods: their number.
        resources: extended resources, such as GPUs.

    """

    cpu: float
    memory: int
    pods: int
    resources: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Size) -> Size:
        return Size(
            cpu=self.cpu + other.cpu,
            memory=self.memory + other.memory,
            pods=self.pods + other.pods,
            resources={
                name: self.resources.get(name, 0) + other.resources.get(name, 0)
                for name in {**self.resources, **other.resources}
            },
        )

    def __mul__(self, times: int) -> Size:
        resources = {name: count * times for name, count in self.resources.items()}
        return Size(cpu=self.cpu * times, memory=self.memory * times, pods=self.pods * times, resources=resources)


_SPARE: Final = Size(cpu=0.1, memory=128 * 2**20, pods=5)
"""What the pod of the result retention and that of a backup request, and pods of runs that are just ending."""


def size(cpu: str, memory: str, pods: int = 1) -> Size:
    """Return the requests of a number of equal pods."""
    return Size(cpu=quantities.cores(cpu), memory=quantities.memory_bytes(memory), pods=1) * pods


def largest(sizes: Iterable[Size]) -> Size:
    """Return the most that any of the sizes has, each kind of request by itself."""
    sizes = list(sizes)
    return Size(
        cpu=max(each.cpu for each in sizes),
        memory=max(each.memory for each in sizes),
        pods=max(each.pods for each in sizes),
        resources={
            name: max(each.resources.get(name, 0) for each in sizes) for each in sizes for name in each.resources
        },
    )


def run_size(flow_pod: Size, worker: Size, workers: int, *, profile: Profile, additions: RunPods) -> Size:
    """Return the requests of one run at its maximum: flow pod, scheduler, workers and large workers.

    Args:
        flow_pod: CPU and memory of its flow pod.
        worker: CPU and memory of one worker.
        workers: their number.
        profile: of its Dask cluster.
        additions: the stack's additions to its pods.

    """
    large = profile.large
    pod = scheduler.size(
        workers + (large.maximum if large else 0),
        cpu=profile.scheduler.cpu or additions.scheduler_cpu,
        memory=profile.scheduler.memory or additions.scheduler_memory,
    )
    total = _with(flow_pod, additions.flow) + _with(worker, additions.worker, profile.pod) * workers
    total += _with(size(pod.cpu, pod.memory_request), additions.scheduler, profile.scheduler.pod)
    if large is None:
        return total
    return total + _with(size(large.cpu, large.memory), additions.common, large.pod) * large.maximum


def _with(pod: Size, *layers_of_pod: PodExtras) -> Size:
    """Return a pod's requests with the extended resources of its additions."""
    resources = pods.merged(*layers_of_pod).resources
    return replace(pod, resources={name: int(count) for name, count in resources.items()})


def run(settings: Settings, pool: str | None = None, *, workers: int | None = None) -> Size:
    """Return the requests of one run.

    Args:
        settings: of the stack.
        pool: its work pool; the first one when unset.
        workers: of its Dask cluster, of the stack's worker size. When unset, the largest that a run can have: the
            ceiling, or the profile with the largest request.

    """
    pool = pool or next(iter(settings.work_pools))
    flow_run, additions = layers.flow_run(settings, pool), layers.run_pods(settings, pool)
    flow_pod, dask = size(flow_run.cpu_request, flow_run.memory_request), settings.dask

    def one(profile: DaskProfile) -> Size:
        worker = size(profile.worker_cpu or dask.worker_cpu, profile.worker_memory or dask.worker_memory)
        count = profile.workers or dask.maximum
        return run_size(flow_pod, worker, count, profile=profile.contract(), additions=additions)

    if workers is not None:
        return one(DaskProfile(maximum=workers))
    return largest(one(profile) for profile in (DaskProfile(maximum=dask.ceiling), *dask.profiles.values()))


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
    need = _SPARE + largest(run(settings, pool) for pool in settings.work_pools) * runs
    holds = "".join(f", {count} {name}" for name, count in quota.resources.items())
    more = "".join(f", {count} {name}" for name, count in need.resources.items() if name in quota.resources)
    return (
        f"quota holds {quota.cpu} cores, {quota.memory}{holds} and {quota.pods} pods; {runs} run(s) at the ceiling of"
        f" {settings.dask.ceiling} Dask workers, or of the largest profile, need {need.cpu:g} cores,"
        f" {gibibytes(need.memory)}{more} and {need.pods} pods: raise quota, or lower dask.ceiling, the workers' size,"
        " the profiles or the pools' concurrencyLimit"
    )


def gibibytes(count: int) -> str:
    """Return bytes as a readable Kubernetes quantity, such as `1.5Gi`."""
    return f"{count / 2**30:.3g}Gi"


def _runs(settings: Settings, quota: Quota) -> int:
    """Return how many runs at their largest fit into the quota beside the spare pods."""
    one = largest(run(settings, pool) for pool in settings.work_pools)
    return min(
        # The epsilon makes up for cores that are not exact as floats, such as 0.1.
        int((quantities.cores(quota.cpu) - _SPARE.cpu) / one.cpu + 1e-9),
        (quantities.memory_bytes(quota.memory) - _SPARE.memory) // one.memory,
        (quota.pods - _SPARE.pods) // one.pods,
        *(int(count) // one.resources[name] for name, count in quota.resources.items() if one.resources.get(name)),
    )
