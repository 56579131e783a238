"""In a pod: starts one Dask cluster that cannot start, and prints what its run would have logged, and when."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.profiles import Profile
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.diagnosis import ClusterStartError
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import Credential, PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster


class Witness(logging.Handler):
    """Remembers each line with the seconds at which it came."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((time.monotonic() - self.began, record.getMessage()))


def on_host_network(*args: Any, **options: Any) -> dict[str, Any]:
    """Return a manifest whose pods ask for what Pod Security does not allow."""
    manifest = dask_cluster(*args, **options)
    manifest["spec"]["scheduler"]["spec"]["hostNetwork"] = True
    return manifest


def main(order: Mapping[str, Any]) -> None:
    surroundings = PodContext.from_env(os.environ)
    assert surroundings is not None
    changes = dict(order.get("place", {}))
    if "credential" in changes:
        reference = changes["credential"]
        changes["credential"] = Credential(
            variable=reference["variable"], secret=SecretRef(reference["name"], reference["key"])
        )
    context = replace(surroundings, **changes)
    sizes = {"minimum": 1, "maximum": 1, "worker_cpu": "50m", "worker_memory": "512Mi", "start_timeout": 40}
    settings = DaskSettings.from_env({}, CodeSizes(**(sizes | order.get("sizes", {}))))
    settings = replace(settings, profile=Profile(pod=PodExtras(env=order.get("env", {}))))
    witness = Witness()
    log = logging.getLogger("start")
    log.addHandler(witness)
    manifest = on_host_network if order.get("tampered") else dask_cluster
    report: dict[str, Any] = {"cause": None}
    run = RunIdentity(flow=order["flow"], flow_run_id=secrets.token_hex(8))
    try:
        with mock.patch("ephemeral_dask.startup.dask_cluster", manifest):
            RunCluster(run=run, context=context, settings=settings, log=log).close()
    except ClusterStartError as error:
        report = {"cause": error.diagnosis.cause.value, "message": str(error)}
    print(json.dumps(report | {"seconds": time.monotonic() - witness.began, "lines": witness.lines}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
