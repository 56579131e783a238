"""The live Dask dashboard of a run, on a port of this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ephemeral_dask.contract import labels, ports
from tools.errors import Problem
from tools.forward import port_forward
from tools.progress import say


def show(run: str, *, namespace: str, environment: Mapping[str, str]) -> None:
    """Open the dashboard of a run's Dask cluster until Ctrl-C.

    Args:
        run: the flow run's id or name, or its Dask cluster's name; empty for the only one there is.
        namespace: where the Dask clusters are.
        environment: the environment in which kubectl talks to the cluster.

    Raises:
        Problem: there is no such cluster, there are several, or the port cannot be opened.

    """
    command = ["kubectl", "--namespace", namespace, "get", "daskclusters", "--output", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            "The Dask clusters could not be listed",
            remedy="`make doctor` tells what is down",
            detail=done.stderr,
        )
    cluster = choose(run, json.loads(done.stdout)["items"])
    with port_forward(
        f"service/{cluster}-scheduler",
        ports.SCHEDULER_HTTP,
        namespace=namespace,
        environment=environment,
        port=ports.DASHBOARD_FORWARD,
    ) as opened:
        say(f"    Dask dashboard of {cluster}: http://127.0.0.1:{opened}/status (Ctrl-C closes it)")
        gone = ["kubectl", "--namespace", namespace, "wait", "--for=delete", f"daskcluster/{cluster}", "--timeout=-1s"]
        try:
            subprocess.run(gone, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        except KeyboardInterrupt:
            return
        say(f"    Dask cluster {cluster} is gone: its run is over")


def choose(run: str, clusters: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the one Dask cluster that is meant.

    Raises:
        Problem: none is, or several are.

    """
    described = {_name(one): _describe(one) for one in clusters}
    fitting = [_name(one) for one in clusters if not run or run in _names(one)]
    if len(fitting) == 1:
        return fitting[0]
    there = "; ".join(described.values()) or "none at the moment: a run has one from its first task to its end"
    if not fitting:
        what = f"no Dask cluster of a run '{run}'" if run else "no Dask cluster"
        raise Problem(f"There is {what}", remedy=f"Give RUN=<flow run id or name>; there are {there}")
    raise Problem(
        f"There are {len(fitting)} Dask clusters that could be meant",
        remedy=f"Give RUN=<flow run id or name, or the cluster's name>; there are {there}",
    )


def _name(cluster: Mapping[str, Any]) -> str:
    return str(cluster["metadata"]["name"])


def _names(cluster: Mapping[str, Any]) -> set[str]:
    found = cluster["metadata"].get("labels", {})
    return {_name(cluster), found.get(labels.FLOW_RUN, ""), found.get(labels.FLOW_RUN_NAME, "")}


def _describe(cluster: Mapping[str, Any]) -> str:
    found = cluster["metadata"].get("labels", {})
    return f"{_name(cluster)} of run {found.get(labels.FLOW_RUN_NAME, '?')} ({found.get(labels.FLOW_RUN, '?')})"
