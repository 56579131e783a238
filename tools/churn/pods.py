"""The pods of runs and of the platform: killing the one, watching the other, and what the runs leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from ephemeral_dask.contract import dask, labels
from infra import naming
from infra.specs.namespaces import Namespaces
from tools.churn import memory
from tools.churn.plan import Victim
from tools.errors import Problem
from tools.kubernetes import Kubernetes, Object, node_statistics

COMPONENTS: Final = (naming.SERVER, naming.WORKER, naming.OPERATOR, naming.REAPER)

_KINDS: Final = (
    *((plural, dask.API_VERSION) for plural in (dask.CLUSTERS, dask.WORKER_GROUPS, dask.AUTOSCALERS)),
    *(("services", "v1"), ("deployments", "apps/v1"), ("pods", "v1"), ("jobs", "batch/v1")),
)


class Pods:
    """Both namespaces of a stack.

    Args:
        cluster: the stack's.
        names: of the namespaces.

    Every method but `sample` raises `Problem` when Kubernetes does not answer or refuses.

    """

    def __init__(self, cluster: Kubernetes, names: Namespaces[str]) -> None:
        self._cluster, self._names = cluster, names
        self.samples: defaultdict[str, list[int]] = defaultdict(list)

    def kill(self, run: str, victim: Victim) -> bool:
        """Delete a pod of a run without a grace period; return whether there was one."""
        selector = f"{labels.PREFECT_FLOW_RUN}={run}"
        if victim != "flow pod":
            selector = f"{labels.FLOW_RUN}={run},dask.org/component={victim}"
        for pod in self._cluster.list("pods", namespace=self._names.runs, selector=selector):
            if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running":
                url = f"pods/{pod['metadata']['name']}"
                self._cluster.delete(url, namespace=self._names.runs, grace=0)
                return True
        return False

    def sample(self) -> None:
        """Note the memory of each pod of the platform, where the statistics of the nodes may be read."""
        with suppress(Problem):
            for summary in node_statistics(self._cluster):
                for pod, used in memory.of_pods(summary, self._names.platform).items():
                    self.samples[pod].append(used)

    def platform(self) -> dict[str, int]:
        """Return pod -> restarts of its containers, of the components that runs keep busy."""
        pods = self._cluster.list("pods", namespace=self._names.platform)
        return {
            pod["metadata"]["name"]: sum(
                each.get("restartCount", 0) for each in pod.get("status", {}).get("containerStatuses") or ()
            )
            for pod in pods
            if pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") in COMPONENTS
        }

    def left(self, runs: Collection[str]) -> list[str]:
        """Return kind and name of what runs that have ended still have."""
        return [
            f"{plural}/{item['metadata']['name']}"
            for plural, version in _KINDS
            for item in self._cluster.list(plural, version=version, namespace=self._names.runs)
            if _run(item) in runs
        ]


def _run(item: Object) -> str:
    own = item["metadata"].get("labels") or {}
    return str(own.get(labels.FLOW_RUN) or own.get(labels.PREFECT_FLOW_RUN) or "")


def memory_of(samples: dict[str, list[int]], pods: dict[str, int]) -> Iterator[tuple[str, list[int]]]:
    """Yield name and samples of the pods that were there from the first to the last moment."""
    for name in sorted(pods):
        if name in samples:
            yield name, samples[name]
