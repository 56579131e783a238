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

from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.contract.profiles import Profile
from ephemeral_dask.diagnosis import ClusterStartError
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import Place, SecretReference
from ephemeral_dask.settings import CodeSizes, DaskSettings


class Witness(logging.Handler):
    """Remembers each line with the seconds at which it came."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((time.monotonic() - self.began, record.getMessage()))


class Tampered(RunCluster):
    """Its pods want what Pod Security does not allow."""

    def _manifest(self, name: str) -> dict[str, Any]:
        manifest = super()._manifest(name)
        manifest["spec"]["scheduler"]["spec"]["hostNetwork"] = True
        return manifest


def main(order: Mapping[str, Any]) -> None:
    surroundings = Place.from_env(os.environ)
    assert surroundings is not None
    changes = dict(order.get("place", {}))
    if "credential" in changes:
        changes["credential"] = SecretReference(**changes["credential"])
    place = replace(surroundings, **changes)
    sizes = {"minimum": 1, "maximum": 1, "worker_cpu": "50m", "worker_memory": "512Mi", "start_timeout": 40}
    settings = DaskSettings.from_env({}, CodeSizes(**(sizes | order.get("sizes", {}))))
    settings = replace(settings, profile=Profile(env=order.get("env", {})))
    witness = Witness()
    log = logging.getLogger("start")
    log.addHandler(witness)
    kind = Tampered if order.get("tampered") else RunCluster
    report: dict[str, Any] = {"cause": None}
    run = RunIdentity(flow=order["flow"], flow_run_id=secrets.token_hex(8))
    try:
        kind(run=run, place=place, settings=settings, log=log).close()
    except ClusterStartError as error:
        report = {"cause": error.diagnosis.cause.value, "message": str(error)}
    print(json.dumps(report | {"seconds": time.monotonic() - witness.began, "lines": witness.lines}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
