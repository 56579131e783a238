"""The worst case of Dask capacity: what all deployments together may ask of the cluster.

Per deployment it is concurrent runs x (maximum workers x size of a worker, and the run's own pod and scheduler). The
total takes the work pools' limits of concurrent runs into account. What limits nothing has no worst case, and that is
what is said then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, pods, profiles, quantities
from ephemeral_dask.contract.pods import PodExtras, RunPods
from infra import capacity
from tools.summary.differences import unknown
from tools.summary.events import SECRET

Fields = Mapping[str, Any]

_MAXIMUM, _CPU, _MEMORY = knobs.MAXIMUM, knobs.WORKER_CPU, knobs.WORKER_MEMORY


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What a work pool gives a run that sets nothing itself.

    Attributes:
        sizes: job variable -> the stack's default, those of the flow pod included.
        profiles: named sizes that a deployment may choose.
        ceiling: workers that no run goes beyond.
        limit: runs of the pool at the same time; None for no limit.
        pods: the stack's additions to the pods of a run.

    """

    sizes: Mapping[str, Any]
    profiles: Mapping[str, profiles.Profile] = field(default_factory=dict)
    ceiling: int
    limit: int | None
    pods: RunPods = field(default_factory=RunPods)


def pool(fields: Fields) -> Pool | None:
    """Read it from a work pool's inputs; None where its template is not one of ours or not known yet."""
    template = fields.get("base_job_template")
    if not isinstance(template, Mapping) or unknown(template.get("job_configuration", {}).get("env")):
        return None
    values = template.get("job_configuration", {}).get("env", {})
    own = template.get("variables", {}).get("properties", {})
    try:
        return Pool(
            sizes={
                **{name: own[name]["default"] for name in ("cpu_request", "memory_request")},
                **{variable.name: values[variable.default_variable] for variable in (_MAXIMUM, _CPU, _MEMORY)},
            },
            profiles=profiles.decode(values.get(env.PROFILES, "{}")),
            ceiling=int(values[env.CEILING]),
            limit=fields.get("concurrency_limit"),
            pods=pods.decode(values.get(env.PODS, "{}")),
        )
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Workers of one size: their number at most, and cores, bytes and extended resources of one."""

    workers: int
    cpu: float
    memory: int
    resources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one deployment may ask for.

    Attributes:
        pool: name of its work pool.
        groups: of workers, of one run.
        cpu: cores of one run: workers, scheduler and its own pod.
        memory: bytes of one run.
        resources: extended resources of one run.
        runs: at the same time at most; None for no limit.

    """

    pool: str
    groups: tuple[Group, ...]
    cpu: float
    memory: int
    resources: Mapping[str, int] = field(default_factory=dict)
    runs: int | None

    @property
    def workers(self) -> int:
        return sum(group.workers for group in self.groups)


def demand(deployment: Fields, pool: Pool) -> Demand | None:
    """Return a deployment's worst case; None where a value that decides is secret or known only to the worker."""
    variables = deployment.get("job_variables") or {}
    limit = deployment.get("concurrency_limit")
    if variables == SECRET or unknown(variables) or unknown(limit):
        return None
    limits = [int(value) for value in (limit, pool.limit) if value is not None]
    name = variables.get(knobs.PROFILE.name)
    if name is not None and name not in pool.profiles:
        return None
    profile = pool.profiles[name] if name is not None else profiles.Profile()
    from_profile = {
        variable.name: profile.sizes[variable.argument]
        for variable in knobs.SIZES
        if variable.argument in profile.sizes
    }
    sizes = {**pool.sizes, **from_profile, **variables}
    try:
        worker = capacity.size(str(sizes[_CPU.name]), str(sizes[_MEMORY.name]))
        workers = min(int(sizes[_MAXIMUM.name]), pool.ceiling)
        flow_pod = capacity.size(str(sizes["cpu_request"]), str(sizes["memory_request"]))
    except ValueError:
        # A reference that only the worker resolves, such as {{ prefect.variables.size }}.
        return None
    run = capacity.run_size(flow_pod, worker, workers, profile=profile, additions=pool.pods)
    groups = [_group(workers, worker, pods.merged(pool.pods.worker, profile.pod))]
    if (large := profile.large) is not None:
        one = capacity.size(large.cpu, large.memory)
        groups.append(_group(large.maximum, one, pods.merged(pool.pods.common, large.pod)))
    return Demand(
        pool=str(deployment.get("work_pool_name")),
        groups=tuple(groups),
        cpu=run.cpu,
        memory=run.memory,
        resources=run.resources,
        runs=min(limits) if limits else None,
    )


def _group(workers: int, one: capacity.Size, additions: PodExtras) -> Group:
    return Group(workers=workers, cpu=one.cpu, memory=one.memory, resources=additions.resources)


@dataclass(frozen=True, kw_only=True)
class Total:
    """The sum over all deployments. Each number is a worst case of its own: they need not meet in one moment.

    Attributes:
        workers: at the same time.
        cpu: cores.
        memory: bytes.
        resources: extended resources, such as GPUs.

    """

    workers: int = 0
    cpu: float = 0
    memory: int = 0
    resources: Mapping[str, int] = field(default_factory=dict)


def total(demands: Iterable[Demand], limits: Mapping[str, int | None]) -> Total | None:
    """Return the sum; None when nothing limits the runs of a deployment.

    Args:
        demands: of all deployments.
        limits: work pool -> its limit of runs.

    """
    demands = list(demands)
    runs: dict[str, list[Demand]] = {}
    for each in demands:
        if each.runs is None:
            return None
        runs.setdefault(each.pool, []).extend([each] * each.runs)

    def largest(sizes: Mapping[str, list[float]]) -> float:
        return sum(sum(sorted(values, reverse=True)[: limits.get(name)]) for name, values in sizes.items())

    return Total(
        workers=int(largest({name: [run.workers for run in each] for name, each in runs.items()})),
        cpu=largest({name: [run.cpu for run in each] for name, each in runs.items()}),
        memory=int(largest({name: [run.memory for run in each] for name, each in runs.items()})),
        resources={
            kind: int(largest({name: [run.resources.get(kind, 0) for run in each] for name, each in runs.items()}))
            for kind in {kind: None for demand in demands for kind in demand.resources}
        },
    )


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What the namespace's ResourceQuota admits; None where it says nothing.

    Attributes:
        cpu: cores, of all requests.
        memory: bytes, of all requests or all limits, whichever is less: a worker's request is its limit.
        resources: extended resources.

    """

    cpu: float | None
    memory: int | None
    resources: Mapping[str, int] = field(default_factory=dict)


def quota(manifests: Iterable[Fields]) -> Quota | None:
    """Return the tightest of ResourceQuota manifests, or None without one.

    Read from the planned Kubernetes objects and not from the settings: what the API server enforces is what counts.
    """
    cpus: list[float] = []
    memories: list[int] = []
    resources: dict[str, int] = {}
    for manifest in manifests:
        hard = (manifest.get("spec") or {}).get("hard") or {}
        for name, value in hard.items():
            if unknown(value) or value == SECRET:
                continue
            if name in ("cpu", "requests.cpu"):
                cpus.append(quantities.cores(str(value)))
            elif name in ("memory", "requests.memory", "limits.memory"):
                memories.append(quantities.memory_bytes(str(value)))
            elif name.startswith("requests.") and "/" in name:
                kind = name.removeprefix("requests.")
                resources[kind] = min(int(value), resources.get(kind, int(value)))
    if not cpus and not memories and not resources:
        return None
    return Quota(cpu=min(cpus, default=None), memory=min(memories, default=None), resources=resources)
