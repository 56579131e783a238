"""Workarounds for faults of released software. One entry per fault, each with its link.

`tests/unit/ephemeral_dask/test_upstream.py` checks in the installed releases that each fault is still there, so that an
entry is deleted with its cause. Written for dask-kubernetes 2026.3.0, distributed 2026.8.0.
"""

from __future__ import annotations

import getpass
import json
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://github.com/dask/distributed/issues/9335: the console scripts `dask-scheduler` and `dask-worker` are
# gone since distributed 2026.6, and dask-kubernetes still writes them into its specs. We write the commands
# ourselves.
SCHEDULER_COMMAND: Final = ("dask", "scheduler")
WORKER_COMMAND: Final = ("dask", "worker")

# https://github.com/dask/dask-kubernetes/issues/807: the operator scales down and checks idleness over an
# HTTP API that the scheduler does not serve by default. Without it busy workers are killed, or an idle
# timeout of 300 s is injected. The setting replaces Dask's list, so the defaults are named too.
HTTP_ROUTES: Final = tuple(
    f"distributed.http.{part}"
    for part in (
        "scheduler.prometheus",
        "scheduler.info",
        "scheduler.json",
        "health",
        "proxy",
        "statics",
        "scheduler.api",
    )
)
HTTP_ROUTES_VARIABLE: Final = "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"


def http_routes_value() -> str:
    """Return the routes as Dask reads a list from an environment variable."""
    return json.dumps(HTTP_ROUTES)


# https://github.com/dask/dask-kubernetes/issues/968: two handlers of the operator write `status.phase` at the
# same time, so a cluster that is up can stay `Pending`. The phase is therefore never read; the existence of the
# objects is.
def operator_has_acted(cluster: Mapping[str, Any] | None, service: Mapping[str, Any] | None) -> bool:
    """Return whether the operator has begun to create the cluster, whatever the phase says."""
    return service is not None or bool(cluster and cluster.get("status", {}).get("phase"))


# https://github.com/dask/dask-kubernetes/issues/976: an API error at the wrong moment leaves a cluster with a
# scheduler and without its `-default` worker group, permanently. The start checks for it, and recreates the cluster
# under another name.
def default_worker_group(cluster_name: str) -> str:
    """Return the name of the worker group that the operator creates for every cluster."""
    return f"{cluster_name}-default"


def large_worker_group(cluster_name: str) -> str:
    """Return the name of the worker group that a run creates itself when its profile has large workers."""
    return f"{cluster_name}-large"


# https://github.com/dask/dask-kubernetes/issues/218: KubeCluster asks for the user's name, and a container
# whose UID has no passwd entry has none.
def ensure_user_name() -> None:
    """Give this process a user name if it has none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = "dask"


# https://github.com/dask/dask-kubernetes/issues/857 and its neighbours: the operator hard-codes the cluster
# domain `svc.cluster.local` into the address that it gives to workers. A name without the domain works with
# any; the operator keeps the variable when the spec has it.
def scheduler_host(cluster_name: str, namespace: str) -> str:
    """Return the scheduler's service name as every pod of the Kubernetes cluster resolves it."""
    return f"{cluster_name}-scheduler.{namespace}"
