"""Workers that were lost while a run lives: why, with the last lines that they wrote."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ephemeral_dask import kube, losses
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis
from ephemeral_dask.kube import Kube, KubeError
from ephemeral_dask.losses import Memory, Pod
from ephemeral_dask.scheduler_plugin import DEATHS

Log = logging.Logger | logging.LoggerAdapter[Any]

_LINES: Final = 20
"""Lines of a dead worker in the run's log."""

_LINES_OF_MESSAGE: Final = 5
"""Lines of it in the message of a task that it was given up for."""

_LOGGED: Final = 20
"""Dead workers whose lines the run's log has; a run may lose hundreds."""

_NAMED_WITHIN: Final = 8.0
"""Seconds that Kubernetes has to say why a pod or container ended: the kubelet reports after a second or two."""

_POLL: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Death:
    """A worker that is gone, as the scheduler saw it.

    Attributes:
        name: of the worker, which is that of its Deployment.
        address: of the worker.
        memory: of its process.
        tasks: keys of the tasks that it ran.

    """

    name: str
    address: str
    memory: Memory
    tasks: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Death:
        """Read a message of the scheduler plugin."""
        memory = Memory(used=int(message["memory"] or 0), limit=int(message["limit"] or 0))
        return cls(
            name=message["name"], address=message["address"], memory=memory, tasks=tuple(map(str, message["tasks"]))
        )


@dataclass(frozen=True)
class _Explanation:
    death: Death
    why: Diagnosis
    lines: str


class WorkerDeaths:
    """Explains each worker's end in the run's log, and remembers it. Belongs to the cluster's event loop.

    Args:
        api: the Kubernetes API.
        cluster: the DaskCluster.
        log: of the run.

    """

    def __init__(self, api: Kube, cluster: str, log: Log) -> None:
        self._kube = api
        self._cluster = cluster
        self._log = log
        self._explanations: dict[str, asyncio.Task[_Explanation]] = {}

    def watch(self, client: Any) -> None:
        """Take note of deaths from now on, through the run's client."""
        client.subscribe_topic(DEATHS, self._note)

    async def why(self, task: str, last: Death) -> str:
        """Return why workers died that ran a task.

        Args:
            task: its key in Dask.
            last: the last of them, as Dask's error has it.

        """
        self._begin(last)
        known = [one for one in self._explanations.values() if one.done() and task in one.result().death.tasks]
        explanation = known[-1].result() if known else await self._explanations[last.address]
        text = f"The last one: {explanation.why.sentence}."
        lines = "\n".join(explanation.lines.splitlines()[-_LINES_OF_MESSAGE:])
        return f"{text}\nIts last log lines:\n{lines}" if lines else text

    def _note(self, event: Any) -> None:
        _, message = event
        self._begin(Death.of(message))

    def _begin(self, death: Death) -> None:
        if death.address not in self._explanations:
            self._explanations[death.address] = asyncio.create_task(self._explain(death))

    async def _explain(self, death: Death) -> _Explanation:
        deadline = asyncio.get_running_loop().time() + _NAMED_WITHIN
        lines = ""
        while True:
            why, latest = await self._look(death)
            lines = latest or lines
            if why is not None or asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_POLL)
        if why is None:
            text = f"worker {death.name} at {death.address} left the scheduler ({death.memory})"
            why = Diagnosis(cause=Cause.UNKNOWN, detail=text)
        if len(self._explanations) <= _LOGGED:
            self._log.warning(
                "A Dask worker was lost with %d unfinished task%s: %s%s",
                len(death.tasks),
                "" if len(death.tasks) == 1 else "s",
                why.sentence,
                f"\nIts last log lines:\n{lines}" if lines else "",
            )
        return _Explanation(death, why, lines)

    async def _look(self, death: Death) -> tuple[Diagnosis | None, str]:
        """Return why a worker's pod or its process ended, and its last lines; what is not known is empty."""
        try:
            pods = await self._kube.list(kube.PODS, labels=kube.of_cluster(self._cluster))
            pod = _pod_of(death, pods)
            if pod is None:
                text = f"the pod of worker {death.name} at {death.address} ({death.memory})"
                return Diagnosis(cause=Cause.DELETED, detail=text), ""
            name = pod["metadata"]["name"]
            events = await self._kube.list(kube.EVENTS, fields=f"involvedObject.name={name}")
            lines = await self._lines(pod)
        except KubeError as error:
            self._log.debug("Kubernetes did not say why worker %s ended: %s", death.name, error)
            return None, ""
        why = losses.why_pod(Pod(name=name), pods, events, death.memory)
        return why or losses.why_process(name, lines, death.memory), lines

    async def _lines(self, pod: Mapping[str, Any]) -> str:
        statuses: Any = pod.get("status", {}).get("containerStatuses") or ({},)
        restarted = bool((statuses[0].get("lastState") or {}).get("terminated"))
        try:
            return await self._kube.log(pod["metadata"]["name"], "worker", lines=_LINES, previous=restarted)
        except KubeError:  # the container, and with it its log, is gone
            return ""


def _pod_of(death: Death, pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return a worker's pod: the next pod of its Deployment has the same name of a worker, but another address."""
    host = urlsplit(death.address).hostname
    named = [pod for pod in pods if pod["metadata"]["name"].startswith(death.name)]
    matching = [pod for pod in named if pod.get("status", {}).get("podIP") == host]
    return max(matching, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), default=None)
