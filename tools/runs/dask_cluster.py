"""A run's Dask cluster, as Kubernetes and the cluster's own scheduler describe it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import httpx
import kr8s
import kr8s.asyncio

from ephemeral_dask.contract import labels, ports
from ephemeral_dask.contract.dask import API_VERSION

_COMPONENT: Final = "dask.org/component"
"""The operator's label for what a Dask pod is: scheduler or worker."""

_FAILURES: Final = (
    kr8s.ServerError,
    kr8s.APITimeoutError,
    kr8s.ConnectionClosedError,
    kr8s.NotFoundError,
    httpx.HTTPError,
    OSError,
    ValueError,  # no credentials, no kubeconfig
)
_METRIC: Final = re.compile(r'^dask_scheduler_tasks\{state="([a-z-]+)"\} ([0-9.e+]+)$', re.MULTILINE)
_WAITING: Final = frozenset({"waiting", "queued", "no-worker", "processing"})
"""States of a task, as Dask's scheduler names them, from its submission to its end."""


@dataclass(frozen=True)
class ClusterView:
    """What there is of the Dask clusters of a run and its subflow runs.

    Attributes:
        exists: whether there is a DaskCluster that is not being deleted.
        workers: worker pods that run.
        unfinished: tasks that the scheduler knows and that have not ended; None when it cannot be asked.

    """

    exists: bool = False
    workers: int = 0
    unfinished: int | None = None


class ClusterWatch:
    """Asks Kubernetes for a run's Dask clusters, and their schedulers for their tasks.

    Prefect's API knows a task run only from its start on, so that it cannot tell how many are still to come. The
    scheduler can, and it is asked through a port-forward only while somebody watches.

    Args:
        namespace: of the Dask clusters.
        kubeconfig: path of the kubeconfig file, or None for the usual places.

    """

    def __init__(self, namespace: str, kubeconfig: str | None) -> None:
        self._namespace = namespace
        self._kubeconfig = kubeconfig
        self._api: Any = None
        self._forwards: dict[str, httpx.AsyncClient | None] = {}
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def look(self, flow_runs: Sequence[UUID], *, tasks: bool = True) -> ClusterView | None:
        """Return what there is, or None when Kubernetes does not answer.

        Args:
            flow_runs: the run and its subflow runs, each of which has its own cluster.
            tasks: whether to ask the schedulers for their tasks too.

        """
        selector = f"{labels.FLOW_RUN} in ({','.join(map(str, flow_runs))})"
        try:
            if self._api is None:
                self._api = await kr8s.asyncio.api(kubeconfig=self._kubeconfig)
            clusters = await self._clusters(selector)
            if not clusters:
                return ClusterView()
            pods = [
                pod async for pod in self._api.async_get("pods", namespace=self._namespace, label_selector=selector)
            ]
        except _FAILURES:
            return None
        running = [pod for pod in pods if pod.raw.get("status", {}).get("phase") == "Running"]
        return ClusterView(
            exists=any("deletionTimestamp" not in cluster["metadata"] for cluster in clusters),
            workers=sum(_component(pod) == "worker" for pod in running),
            unfinished=await self._unfinished([pod for pod in running if _component(pod) == "scheduler"])
            if tasks
            else None,
        )

    async def _clusters(self, selector: str) -> list[dict[str, Any]]:
        request = {"version": API_VERSION, "namespace": self._namespace, "url": "daskclusters"}
        async with self._api.call_api("GET", **request, params={"labelSelector": selector}) as response:
            items: list[dict[str, Any]] = response.json()["items"]
        return items

    async def _unfinished(self, schedulers: Sequence[Any]) -> int | None:
        counts = [await self._ask(pod) for pod in schedulers]
        numbers = [count for count in counts if count is not None]
        return sum(numbers) if numbers else None

    async def _ask(self, pod: Any) -> int | None:
        if pod.name not in self._forwards:
            self._forwards[pod.name] = await self._open(pod)
        client = self._forwards[pod.name]
        if client is None:
            return None
        try:
            return unfinished_tasks((await client.get("/metrics")).text)
        except httpx.HTTPError:
            return None

    async def _open(self, pod: Any) -> httpx.AsyncClient | None:
        """Open a port-forward to a scheduler; None where the person at the keyboard may not."""
        try:
            port = await self._resources.enter_async_context(pod.portforward(ports.SCHEDULER_HTTP, local_port="auto"))
        except _FAILURES:
            return None
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=3)
        return await self._resources.enter_async_context(client)


def unfinished_tasks(metrics: str) -> int | None:
    """Return how many tasks have not ended, from a Dask scheduler's metrics; None when they do not say."""
    states = {state: float(count) for state, count in _METRIC.findall(metrics)}
    return int(sum(count for state, count in states.items() if state in _WAITING)) if states else None


def _component(pod: Any) -> str:
    return str(pod.raw["metadata"].get("labels", {}).get(_COMPONENT, ""))
