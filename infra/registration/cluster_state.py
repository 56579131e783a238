"""What the preflight compares a stack with: the namespaces, the CRDs and the Dask operators of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ephemeral_dask.contract import dask

OPERATOR_IMAGE: Final = "dask-kubernetes-operator"
"""Part of the image name of the operator that dask-kubernetes' own Helm chart installs."""

DASK_CRDS: Final = tuple(
    f"{plural}.{dask.GROUP}" for plural in (dask.AUTOSCALERS, dask.CLUSTERS, dask.JOBS, dask.WORKER_GROUPS)
)
"""Names of the CRDs that the Dask operator watches."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A Deployment that runs a Dask operator.

    Attributes:
        namespace: the Deployment's namespace.
        name: the Deployment's name.
        command: the container's command and arguments.

    """

    namespace: str
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """The live cluster.

    Attributes:
        namespaces: name -> annotations of the stack's namespaces that exist.
        platform_jobs: names of live flow runs' Jobs in the platform's namespace, where an earlier version ran them.
        crds: name -> annotations of the installed Dask CRDs.
        operators: the Dask operators in all namespaces.
        platforms: those of the nodes that pods are scheduled to, such as `linux/amd64`; empty if they cannot be listed.

    """

    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    platform_jobs: tuple[str, ...] = ()
    crds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    operators: tuple[Operator, ...] = ()
    platforms: tuple[str, ...] = ()


def node_platforms(nodes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the platforms of the nodes that take pods without a toleration, or of all if there is none.

    Args:
        nodes: as the Kubernetes API lists them.

    """
    every, ready = set[str](), set[str]()
    for node in nodes:
        info, spec = node.get("status", {}).get("nodeInfo", {}), node.get("spec", {})
        if info.get("operatingSystem") != "linux" or not info.get("architecture"):
            continue
        platform = f"linux/{info['architecture']}"
        every.add(platform)
        if not spec.get("unschedulable") and all(
            taint["effect"] == "PreferNoSchedule" for taint in spec.get("taints", ())
        ):
            ready.add(platform)
    return tuple(sorted(ready or every))
