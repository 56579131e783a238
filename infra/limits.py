"""Limits by which Kubernetes refuses the pods of runs, or Linux their programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract import knobs, pods, quantities, scheduler
from infra.settings import Dask, DaskProfile, Settings, layers
from infra.settings.dask import LARGEST_VARIABLE

_REMEDY: Final = "raise the limit, or lower the request"


def errors(settings: Settings) -> list[str]:
    """Return key and sentence for each limit below its request, and for variables that are too long."""
    below = (
        f"{key}: the {name} limit of these pods is {limit} and their request {request}, so Kubernetes would refuse"
        f" them: {_REMEDY}"
        for pool in settings.work_pools
        for key, name, request, limit in _pairs(settings, pool)
        if limit and quantities.is_below(limit, request)
    )
    return list(dict.fromkeys([*below, *(each for pool in settings.work_pools for each in _too_long(settings, pool))]))


def _too_long(settings: Settings, pool: str) -> Iterator[str]:
    run_pods = layers.run_pods(settings, pool)
    values = {"pods, flowRun.pod and dask": pods.encode(run_pods)}
    for kind in (run_pods.flow, run_pods.scheduler, run_pods.worker):
        values |= {f"variable {name} of the pods of runs": value for name, value in kind.env.items()}
    for name, value in values.items():
        if len(value.encode()) > LARGEST_VARIABLE:
            yield (
                f"workPools.{pool}: {name} take {len(value.encode()) // 1024} KiB in an environment variable, and Linux"
                f" starts no process with one above {LARGEST_VARIABLE // 1024} KiB: shorten env and patches, or mount a"
                " ConfigMap"
            )


def variable_errors(
    variables: Mapping[str, Any], schema: Mapping[str, Any], settings: Settings, pool: str
) -> list[str]:
    """Return a clause, to be read after `job variable`, for each one with which a limit is below its request.

    Args:
        variables: of a deployment, each of which is right by itself.
        schema: of the variables that its work pool's template has.
        settings: of the stack.
        pool: name of its work pool.

    """
    values = {name: variables.get(name, each.get("default")) for name, each in schema["properties"].items()}
    pairs = [
        (f"{kind}_request", values[f"{kind}_request"], f"{kind}_limit", values[f"{kind}_limit"])
        for kind in ("cpu", "memory")
    ]
    if cpu := variables.get(knobs.WORKER_CPU.name):
        extras = layers.run_pods(settings, pool).worker
        if profile := settings.dask.profiles.get(str(variables.get(knobs.PROFILE.name))):
            extras = pods.merged(extras, profile.contract().pod)
        pairs.append((knobs.WORKER_CPU.name, cpu, "cpuLimit of these workers", extras.cpu_limit))
    return [
        f"'{name}' is {request} and {other} {limit}, so Kubernetes would refuse the pod: {_REMEDY}"
        for name, request, other, limit in pairs
        if request and limit and (name in variables or other in variables) and _is_below(limit, request)
    ]


def _is_below(limit: Any, request: Any) -> bool:
    try:
        return quantities.is_below(limit, request)
    except ValueError:
        # It is reported for itself, or a placeholder.
        return False


def _pairs(settings: Settings, pool: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, resource, request and limit of each kind of pod."""
    dask, run_pods, flow_run = settings.dask, layers.run_pods(settings, pool), layers.flow_run(settings, pool)
    key = f"workPools.{pool}.flowRun" if settings.work_pools[pool].flow_run else "flowRun"
    yield key, "memory", flow_run.memory_request, flow_run.memory_limit
    yield key, "CPU", flow_run.cpu_request, run_pods.flow.cpu_limit
    for place, profile in (("", DaskProfile()), *((f".profiles.{name}", each) for name, each in dask.profiles.items())):
        own = profile.contract()
        workers = pods.merged(run_pods.worker, own.pod)
        yield f"dask{place or '.workerPod'}", "CPU", profile.worker_cpu or dask.worker_cpu, workers.cpu_limit
        extras = pods.merged(run_pods.scheduler, own.pod.shared(), own.scheduler.pod)
        yield f"dask{place}.scheduler", "CPU", _scheduler_cpu(dask, profile), extras.cpu_limit
        if own.large:
            large = pods.merged(run_pods.common, own.pod.shared(), own.large.pod)
            yield f"dask{place}.largeWorkers", "CPU", own.large.cpu, large.cpu_limit


def _scheduler_cpu(dask: Dask, profile: DaskProfile) -> str:
    workers = (profile.workers or dask.ceiling) + (profile.large_workers.maximum if profile.large_workers else 0)
    return scheduler.size(workers, cpu=profile.scheduler.cpu or dask.scheduler.cpu or "").cpu
