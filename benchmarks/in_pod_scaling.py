"""The script in the pod of `benchmarks.scaling`: it submits two backlogs, and prints when workers came and went."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from distributed import Client

from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.contract.dask import API_VERSION
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.kube import Kind, Kube
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings

MINIMUM: Final = 1
MAXIMUM: Final = 6
TASKS: Final = 120
TASK: Final = 1.0
FIRST: Final = 15.0
"""Seconds of one task of the backlog, and of the two before it."""
_LONGEST: Final = 240.0

_client: Callable[..., Any] = partial(Client, set_as_default=False)


@contextmanager
def opened(side: str) -> Iterator[RunCluster]:
    context = PodContext.from_env(os.environ)
    if context is None:
        raise RuntimeError("This script runs in a pod of a stack. Start it with `make bench-scaling`.")
    # With a fixed size the run's own autoscaler does nothing, so that only the operator's scales.
    maximum = MAXIMUM if side == "ours" else MINIMUM
    sizes = CodeSizes(minimum=MINIMUM, maximum=maximum, worker_cpu="50m", worker_memory="512Mi")
    settings = DaskSettings.from_env(os.environ, sizes)
    run = RunIdentity(flow=f"benchmark-{side}", flow_run_id=secrets.token_hex(8))
    with RunCluster(run=run, context=context, settings=settings, log=logging.getLogger("benchmark")) as cluster:
        if side == "operator":
            asyncio.run(_create_autoscaler(cluster.name, context.namespace))
        yield cluster


async def _create_autoscaler(cluster: str, namespace: str) -> None:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "DaskAutoscaler",
        "metadata": {"name": cluster, "namespace": namespace},
        "spec": {"cluster": cluster, "minimum": MINIMUM, "maximum": MAXIMUM},
    }
    await Kube(namespace).create(Kind(API_VERSION, "daskautoscalers"), manifest)


def until(workers: Callable[[], int], reached: Callable[[int], bool]) -> float:
    """Return the seconds until the number of workers satisfies a condition, at most `_LONGEST`."""
    began = time.monotonic()
    while not reached(workers()) and time.monotonic() - began < _LONGEST:
        time.sleep(0.1)
    return time.monotonic() - began


def main(side: str, delay: float) -> None:
    with opened(side) as cluster, _client(cluster) as client:

        def workers() -> int:
            return len(client.scheduler_info(n_workers=-1)["workers"])

        client.submit(sum, [1, 2]).result(timeout=60)
        time.sleep(delay)
        first = client.map(_work, [FIRST] * 2, pure=False)
        two = until(workers, lambda count: count >= 2)
        began = time.monotonic()
        backlog = first + client.map(_work, [TASK] * TASKS, pure=False)
        up = until(workers, lambda count: count >= MAXIMUM)
        client.gather(backlog)
        done = time.monotonic() - began
        down = until(workers, lambda count: count <= MINIMUM)
        client.gather(backlog)  # results of retired workers were moved; lost ones are computed again, and counted
    usage: Any = cluster.usage
    result = {
        "whole": max(two, up, down) < _LONGEST,
        "two": two,
        "up": up,
        "done": done,
        "down": down,
        "again": usage.again,
        "worker_seconds": usage.worker_seconds,
    }
    print(json.dumps(result), flush=True)


def _work(seconds: float) -> bytes:
    time.sleep(seconds)
    return bytes(1000)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(sys.argv[1], float(sys.argv[2]))
