"""In a pod: a Dask cluster with two worker groups; prints where tasks ran and which workers were left."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dask.base import annotate
from distributed import Client, get_worker

from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.contract.profiles import LargeWorkers, Profile
from ephemeral_dask.groups import LARGE
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings

DEADLINE = 120.0
"""Seconds until the operator has made, or taken away, what was asked for."""


def where(_number: int, seconds: float) -> str:
    """Return the name of the worker that runs this, after that many seconds."""
    time.sleep(seconds)
    return str(get_worker().name)  # type: ignore[no-untyped-call]  # it carries no annotation


def kinds(names: Iterable[str]) -> dict[str, int]:
    """Return group -> how many workers of it these names are of."""
    counts: dict[str, int] = {}
    for name in set(names):
        group = name.rpartition("-worker-")[0].rpartition("-")[2]
        counts[group] = counts.get(group, 0) + 1
    return counts


def left(client: Client, expected: dict[str, int]) -> dict[str, int]:
    """Return the workers of each group as soon as they are what is expected, or what they are in the end."""
    deadline = time.monotonic() + DEADLINE
    while True:
        workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        current = kinds(worker["name"] for worker in workers.values())
        if current == expected or time.monotonic() > deadline:
            return current
        time.sleep(1)


def main(flow: str) -> None:
    context = PodContext.from_env(os.environ)
    assert context is not None
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    sizes = CodeSizes(minimum=0, maximum=2, worker_cpu="50m", worker_memory="512Mi")
    profile = Profile(large=LargeWorkers(maximum=1, cpu="60m", memory="640Mi"))
    settings = replace(DaskSettings.from_env({}, sizes), profile=profile)
    run = RunIdentity(flow=flow, flow_run_id=secrets.token_hex(8))
    log = logging.getLogger("groups")
    with (
        RunCluster(run=run, context=context, settings=settings, log=log) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        with annotate(resources={LARGE: 1}):
            large = client.map(where, range(3), seconds=3)
        ran = {"large": kinds(client.gather(large))}
        del large
        ran["after large"] = left(client, {})
        ran["ordinary"] = kinds(client.gather(client.map(where, range(40), seconds=1)))
        ran["after ordinary"] = left(client, {})
    print(json.dumps(ran), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
