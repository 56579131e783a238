"""The worst case of Dask capacity: what all deployments together may ask of the cluster.

Per deployment it is maximum workers x concurrent runs x size of a worker. The total takes the work pool's own
limit of concurrent runs into account. What limits nothing has no worst case, and that is what is said then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contract import environment as env
from contract import quantities
from tools.summary.differences import unknown
from tools.summary.events import SECRET

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What the work pool's template gives a run that sets nothing itself.

    Attributes:
        maximum: workers.
        ceiling: workers that no run goes beyond.
        cpu: of one worker, a Kubernetes quantity.
        memory: the same.

    """

    maximum: int
    ceiling: int
    cpu: str
    memory: str


def defaults(template: Fields) -> Defaults | None:
    """Read them from a base job template; None where it is not one of ours or not known yet."""
    values = template.get("job_configuration", {}).get("env", {})
    try:
        return Defaults(
            maximum=int(values[env.DASK_MAXIMUM.default_variable]),
            ceiling=int(values[env.CEILING]),
            cpu=str(values[env.DASK_WORKER_CPU.default_variable]),
            memory=str(values[env.DASK_WORKER_MEMORY.default_variable]),
        )
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one deployment may ask for.

    Attributes:
        workers: of one run at most.
        cpu: cores of one worker.
        memory: bytes of one worker.
        runs: at the same time at most; None for no limit.

    """

    workers: int
    cpu: float
    memory: int
    runs: int | None


def demand(deployment: Fields, given: Defaults, pool_limit: int | None) -> Demand | None:
    """Return a deployment's worst case; None where a value that decides is secret or not known yet."""
    variables = deployment.get("job_variables") or {}
    limit = deployment.get("concurrency_limit")
    if variables == SECRET or unknown(variables) or unknown(limit):
        return None
    limits = [value for value in (limit, pool_limit) if value is not None]
    try:
        return Demand(
            workers=min(int(variables.get(env.DASK_MAXIMUM.name, given.maximum)), given.ceiling),
            cpu=quantities.cores(str(variables.get(env.DASK_WORKER_CPU.name, given.cpu))),
            memory=quantities.memory_bytes(str(variables.get(env.DASK_WORKER_MEMORY.name, given.memory))),
            runs=min(map(int, limits)) if limits else None,
        )
    except ValueError:
        # A reference that only the worker resolves, such as {{ prefect.variables.size }}.
        return None


@dataclass(frozen=True, kw_only=True)
class Total:
    """The sum over all deployments. Each number is a worst case of its own: they need not meet in one moment.

    Attributes:
        workers: at the same time.
        cpu: cores.
        memory: bytes.

    """

    workers: int = 0
    cpu: float = 0
    memory: int = 0


def total(demands: Iterable[Demand], pool_limit: int | None) -> Total | None:
    """Return the sum; None when nothing limits the runs of a deployment."""
    runs: list[Demand] = []
    for each in demands:
        if each.runs is None:
            return None
        runs += [each] * each.runs
    places = len(runs) if pool_limit is None else pool_limit

    def largest(values: Iterable[float]) -> float:
        return sum(sorted(values, reverse=True)[:places])

    return Total(
        workers=int(largest(run.workers for run in runs)),
        cpu=largest(run.workers * run.cpu for run in runs),
        memory=int(largest(run.workers * run.memory for run in runs)),
    )


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What the namespace's ResourceQuota admits; None where it says nothing.

    Attributes:
        cpu: cores, of all requests.
        memory: bytes, of all requests or all limits, whichever is less: a worker's request is its limit.

    """

    cpu: float | None
    memory: int | None


def quota(manifests: Iterable[Fields]) -> Quota | None:
    """Return the tightest of ResourceQuota manifests, or None without one.

    Read from the planned Kubernetes objects and not from the settings: what the API server enforces is what counts.
    """
    cpus: list[float] = []
    memories: list[int] = []
    for manifest in manifests:
        hard = (manifest.get("spec") or {}).get("hard") or {}
        for name, value in hard.items():
            if unknown(value) or value == SECRET:
                continue
            if name in ("cpu", "requests.cpu"):
                cpus.append(quantities.cores(str(value)))
            elif name in ("memory", "requests.memory", "limits.memory"):
                memories.append(quantities.memory_bytes(str(value)))
    if not cpus and not memories:
        return None
    return Quota(cpu=min(cpus, default=None), memory=min(memories, default=None))
