"""What Kubernetes says about a starting Dask cluster, asked with few requests.

A start that succeeds needs the names that the operator has created, and then the scheduler's own answers. Pods and
events are for those that do not succeed, so they are read seldom, and events only of a start that takes long.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask import kube, upstream
from ephemeral_dask.diagnosis import Observation
from ephemeral_dask.kube import Kube, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOOK_EVERY: Final = ((2.0, 0.25), (10.0, 0.5), (60.0, 1.0), (float("inf"), 3.0))
"""Until this many seconds after the start, the interval in seconds between two looks for what the operator creates."""

OBSERVE_EVERY: Final = 3.0
"""Seconds between two observations of everything that may name a cause; shorter than `start_policy.CONFIRMED_AFTER`."""

EVENTS_AFTER: Final = 5.0
"""Seconds of a start from which its observations include events: one that succeeds is mostly over by then."""

_JITTER: Final = 0.2
"""Share by which an interval varies, so that runs that start together do not ask together."""


class Observer:
    """Observes one attempt to bring up a Dask cluster.

    Args:
        api: the Kubernetes API.
        name: of the DaskCluster.
        deadline: the moment of `clock` from which each observation is one of everything.
        clock: seconds that never go back.

    """

    def __init__(self, api: Kube, name: str, *, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._name, self._deadline, self._clock = api, name, deadline, clock
        self._began = clock()
        self._next_look = self._began
        self._next_observation = self._began + _varied(OBSERVE_EVERY)
        self._latest = Observation()

    async def observe(self) -> Observation:
        """Return the latest observation, after those requests for which it is time.

        Raises:
            KubeError: the API refused one. While it does not answer, the latest observation remains.

        """
        now = self._clock()
        try:
            if now >= min(self._next_observation, self._deadline):
                with_events = now - self._began >= EVENTS_AFTER or now >= self._deadline
                self._next_observation = now + _varied(OBSERVE_EVERY)
                self._latest = await everything(self._kube, self._name, with_events=with_events, before=self._latest)
            elif now >= self._next_look and (self._latest.service is None or self._latest.worker_group is None):
                self._next_look = now + _varied(_interval(now - self._began))
                self._latest = await self._look()
        except KubeError as error:
            if not error.transient:
                raise
        return self._latest

    async def _look(self) -> Observation:
        before = self._latest
        service, group = await asyncio.gather(
            _service(self._kube, self._name) if before.service is None else _known(before.service),
            _worker_group(self._kube, self._name) if before.worker_group is None else _known(before.worker_group),
        )
        return replace(before, service=service, worker_group=group)


async def everything(api: Kube, name: str, *, with_events: bool, before: Observation | None = None) -> Observation:
    """Return what Kubernetes says about a Dask cluster.

    Args:
        api: the Kubernetes API.
        name: of the DaskCluster.
        with_events: whether its warning events are read.
        before: an earlier observation. What the operator had created then is not asked for while there are pods.

    Raises:
        KubeError: the API refused a request, or did not answer.

    """
    pods = await api.list(kube.PODS, labels=kube.of_cluster(name))
    if before is not None and before.service is not None and before.worker_group is not None and pods:
        cluster, service, group = before.cluster, before.service, before.worker_group
    else:
        cluster, service, group = await asyncio.gather(
            api.get(kube.DASK_CLUSTERS, name), _service(api, name), _worker_group(api, name)
        )
    events = await api.list(kube.EVENTS, fields="type=Warning") if with_events else []
    own = [one for one in events if str(one["involvedObject"].get("name")).startswith(name)]
    return Observation(cluster=cluster, service=service, worker_group=group, pods=pods, events=own)


async def _service(api: Kube, name: str) -> Mapping[str, Any] | None:
    return await api.get(kube.SERVICES, f"{name}-scheduler")


async def _worker_group(api: Kube, name: str) -> Mapping[str, Any] | None:
    return await api.get(kube.DASK_WORKER_GROUPS, upstream.default_worker_group(name))


async def _known(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return value


def _interval(elapsed: float) -> float:
    return next(interval for until, interval in _LOOK_EVERY if elapsed < until)


def _varied(seconds: float) -> float:
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  not a secret
