"""Remove Dask's CRDs from a cluster. A stack leaves them, because every Dask cluster is deleted with them."""

from __future__ import annotations

from typing import Final

from ephemeral_dask.contract.dask import API_VERSION, GROUP
from infra.naming import DASK_VERSION
from tools.errors import Problem
from tools.kubernetes import Kubernetes, Object
from tools.progress import say

_KIND: Final = "customresourcedefinitions"
_VERSION: Final = "apiextensions.k8s.io/v1"


def remove(cluster: Kubernetes) -> None:
    """Remove the CRDs that this project installed, when no Dask cluster exists anywhere.

    Raises:
        Problem: Dask clusters exist, or the CRDs were installed by something else.

    """
    crds = [crd for crd in cluster.list(_KIND, version=_VERSION) if crd["spec"]["group"] == GROUP]
    if not crds:
        say("    the cluster has no CRDs of Dask: nothing to remove")
        return
    if foreign := [_name(crd) for crd in crds if DASK_VERSION not in crd["metadata"].get("annotations", {})]:
        raise Problem(
            f"{', '.join(foreign)} were not installed by this project",
            remedy="Remove them where they came from, for example with helm uninstall",
        )
    live = [
        f"{each['metadata']['namespace']}/{_name(each)}" for each in cluster.list("daskclusters", version=API_VERSION)
    ]
    if live:
        raise Problem(
            f"{len(live)} Dask clusters exist and would be deleted with their CRD: {', '.join(live[:5])}",
            remedy="Let their runs end, then run the same command again",
        )
    for crd in crds:
        cluster.delete(f"{_KIND}/{_name(crd)}", version=_VERSION)
    say(f"    removed {', '.join(map(_name, crds))}")


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])
