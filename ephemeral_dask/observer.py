"""What Kubernetes says about a starting Dask cluster, followed by watches.

A start that takes long makes few more requests: Kubernetes reports what the operator creates and what becomes of the
pods. Events are read, at growing intervals, and only of a start whose pods do not run.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final, Self

from ephemeral_dask import kube, upstream
from ephemeral_dask.diagnosis import Observation, is_worker
from ephemeral_dask.kube import Kube, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from ephemeral_dask.kube import Kind

LOOK_AFTER: Final = 5.0
"""Seconds of a start until the first look at what is not watched: one that succeeds is mostly over by then."""

LOOK_LATER: Final = 2.0
"""Each further look is after this many times the seconds after which the one before was."""

_WATCH_AGAIN_AFTER: Final = 1.0
"""Seconds between the end of a watch and the next one."""

_JITTER: Final = 0.2
"""Share by which an interval varies, so that runs that start together do not ask together."""


class Observer:
    """Observes one attempt to bring up a Dask cluster, in an `async with` block.

    Args:
        api: the Kubernetes API.
        name: of the DaskCluster.
        deadline: the moment of `clock` from which each observation includes a look at what is not watched.
        clock: seconds that never go back.

    """

    def __init__(self, api: Kube, name: str, *, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._name, self._deadline, self._clock = api, name, deadline, clock
        self._services = _Watch(api, kube.SERVICES, fields=kube.of_name(f"{name}-scheduler"))
        group = upstream.default_worker_group(name)
        self._worker_groups = _Watch(api, kube.DASK_WORKER_GROUPS, fields=kube.of_name(group))
        self._pods = _Watch(api, kube.PODS, labels=kube.of_cluster(name))
        self._following: Sequence[asyncio.Task[None]] = ()
        self._began = clock()
        self._look_after = LOOK_AFTER * _varied()
        self._cluster: Mapping[str, Any] | None = None
        self._events: Sequence[Mapping[str, Any]] = ()

    @property
    def _watches(self) -> tuple[_Watch, ...]:
        return self._services, self._worker_groups, self._pods

    async def __aenter__(self) -> Self:
        self._following = [asyncio.create_task(watch.follow()) for watch in self._watches]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def observe(self) -> Observation:
        """Return what is known, after a look at what is not watched if it is time for one.

        Raises:
            KubeError: the API refused a request. While it does not answer, the last known state remains.

        """
        for watch in self._watches:
            if watch.refusal is not None:
                raise watch.refusal
        elapsed, is_last = self._clock() - self._began, self._clock() >= self._deadline
        if elapsed >= self._look_after or is_last:
            self._look_after = max(self._look_after, elapsed) * LOOK_LATER * _varied()
            try:
                await self._look(is_last=is_last)
            except KubeError as error:
                if not error.transient:
                    raise
        return Observation(
            cluster=self._cluster,
            service=self._services.first,
            worker_group=self._worker_groups.first,
            pods=list(self._pods.objects.values()),
            events=self._events,
        )

    async def _look(self, *, is_last: bool) -> None:
        if is_last or self._services.first is None:
            self._cluster = await self._kube.get(kube.DASK_CLUSTERS, self._name)
        if is_last or not _all_run(self._pods.objects.values()):
            self._events = await events(self._kube, self._name)


async def everything(api: Kube, name: str) -> Observation:
    """Return what Kubernetes says about a Dask cluster that was up.

    Args:
        api: the Kubernetes API.
        name: of the DaskCluster.

    Raises:
        KubeError: the API refused a request, or did not answer.

    """
    cluster, pods, its_events = await asyncio.gather(
        api.get(kube.DASK_CLUSTERS, name), api.list(kube.PODS, labels=kube.of_cluster(name)), events(api, name)
    )
    # The operator has created both, or the cluster would not have been up.
    return Observation(cluster=cluster, service={}, worker_group={}, pods=pods, events=its_events)


async def events(api: Kube, name: str) -> list[dict[str, Any]]:
    """Return the warning events of a Dask cluster and of what belongs to it.

    Raises:
        KubeError: the API refused the request, or did not answer.

    """
    warnings = await api.list(kube.EVENTS, fields="type=Warning")
    return [event for event in warnings if str(event["involvedObject"].get("name")).startswith(name)]


class _Watch:
    """The objects that a watch has reported, by name; while the connection is lost, those that it reported last."""

    objects: Mapping[str, Mapping[str, Any]]
    refusal: KubeError | None
    """Why the API does not allow the watch."""

    def __init__(self, api: Kube, kind: Kind, *, labels: str = "", fields: str = "") -> None:
        self._kube, self._kind, self._labels, self._fields = api, kind, labels, fields
        self.objects, self.refusal = {}, None

    @property
    def first(self) -> Mapping[str, Any] | None:
        """One of the objects, or None if there is none."""
        return next(iter(self.objects.values()), None)

    async def follow(self) -> None:
        """Keep the objects up to date until the task is cancelled, or the API refuses the watch."""
        while True:
            try:
                async for objects in self._kube.watch(self._kind, labels=self._labels, fields=self._fields):
                    self.objects = objects
            except KubeError as error:
                if not error.transient:
                    self.refusal = error
                    return
            await asyncio.sleep(_WATCH_AGAIN_AFTER * _varied())


def _all_run(pods: Collection[Mapping[str, Any]]) -> bool:
    """Return whether there are workers, and all pods run: events could then name no cause."""
    return any(is_worker(pod) for pod in pods) and all(pod.get("status", {}).get("phase") == "Running" for pod in pods)


def _varied() -> float:
    return random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  not a secret
