"""The live Dask dashboard of a run, on a port of this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ephemeral_dask.contract import labels, ports
from ephemeral_dask.contract.dask import API_VERSION
from tools import browser
from tools.errors import Problem
from tools.forward import port_forward
from tools.kubernetes import Kubernetes
from tools.progress import say

_CLUSTERS: Final = "daskclusters"
_INTERVAL: Final = 2.0
"""Seconds between two looks whether the cluster still exists."""


def show(run: str, *, namespace: str, environment: Mapping[str, str]) -> None:
    """Open the dashboard of a run's Dask cluster until Ctrl-C.

    Args:
        run: the flow run's id or name, or its Dask cluster's name; empty for the only one there is.
        namespace: where the Dask clusters are.
        environment: of the target; KUBECONFIG in it says which cluster.

    Raises:
        Problem: there is no such cluster, there are several, or the port cannot be opened.

    """
    kubernetes = Kubernetes(environment)
    cluster = choose(run, kubernetes.list(_CLUSTERS, version=API_VERSION, namespace=namespace))
    with port_forward(
        f"service/{cluster}-scheduler",
        ports.SCHEDULER_HTTP,
        namespace=namespace,
        environment=environment,
        port=ports.DASHBOARD_FORWARD,
    ) as port:
        page = f"http://127.0.0.1:{port}/status"
        say(f"    Dask dashboard of {cluster}: {page} (Ctrl-C closes it)")
        browser.show(page)
        try:
            while kubernetes.get(f"{_CLUSTERS}/{cluster}", version=API_VERSION, namespace=namespace) is not None:
                time.sleep(_INTERVAL)
        except KeyboardInterrupt:
            return
        say(f"    Dask cluster {cluster} is gone: its run has ended")


def choose(run: str, clusters: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the one Dask cluster that is meant.

    Raises:
        Problem: none is, or several are.

    """
    matches = [_name(each) for each in clusters if not run or run in _names(each)]
    if len(matches) == 1:
        return matches[0]
    known = "; ".join(map(_describe, clusters)) or "none at the moment: a run has one from its first task to its end"
    if not matches:
        what = f"no Dask cluster of a run '{run}'" if run else "no Dask cluster"
        raise Problem(f"There is {what}", remedy=f"Set RUN=<flow run id or name>; there are {known}")
    raise Problem(
        f"There are {len(matches)} Dask clusters that could be meant",
        remedy=f"Set RUN=<flow run id or name, or the cluster's name>; there are {known}",
    )


def _name(cluster: Mapping[str, Any]) -> str:
    return str(cluster["metadata"]["name"])


def _names(cluster: Mapping[str, Any]) -> set[str]:
    marks = cluster["metadata"].get("labels", {})
    return {_name(cluster), marks.get(labels.FLOW_RUN, ""), marks.get(labels.FLOW_RUN_NAME, ""), _run_name(cluster)}


def _run_name(cluster: Mapping[str, Any]) -> str:
    """Return the run's own name; a cluster that an older image has started knows only what fits into a label."""
    metadata = cluster["metadata"]
    known = (metadata.get("annotations") or {}, metadata.get("labels") or {})
    return next((str(each[labels.FLOW_RUN_NAME]) for each in known if labels.FLOW_RUN_NAME in each), "?")


def _describe(cluster: Mapping[str, Any]) -> str:
    run = cluster["metadata"].get("labels", {}).get(labels.FLOW_RUN, "?")
    return f"{_name(cluster)} of run {_run_name(cluster)} ({run})"
