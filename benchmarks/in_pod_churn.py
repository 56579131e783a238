"""The script in the pod of `benchmarks.churn`: it starts and ends Dask clusters, and prints the seconds of each."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from distributed import Client

from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings

_client: Callable[..., Any] = partial(Client, set_as_default=False)
_log = logging.getLogger("benchmark")


def start_and_end(_: int) -> None:
    context = PodContext.from_env(os.environ)
    if context is None:
        raise RuntimeError("This script runs in a pod of a stack. Start it with `make bench-churn`.")
    sizes = CodeSizes(minimum=1, maximum=1, worker_cpu="50m", worker_memory="512Mi")
    settings = DaskSettings.from_env(os.environ, sizes)
    run = RunIdentity(flow="benchmark", flow_run_id=secrets.token_hex(8))
    began = time.monotonic()
    try:
        with RunCluster(run=run, context=context, settings=settings, log=_log) as cluster:
            started = time.monotonic() - began
            with _client(cluster) as client:
                client.submit(sum, [1, 2]).result(timeout=60)
        print(json.dumps({"started": started, "whole": time.monotonic() - began}), flush=True)
    except Exception as error:  # noqa: BLE001  failed starts are counted
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)


def main(starts: int, side_by_side: int) -> None:
    with ThreadPoolExecutor(side_by_side) as several:
        list(several.map(start_and_end, range(starts)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(int(sys.argv[1]), int(sys.argv[2]))
