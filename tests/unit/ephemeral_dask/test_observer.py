from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ephemeral_dask import kube
from ephemeral_dask.diagnosis import Observation
from ephemeral_dask.kube import Kind, KubeError
from ephemeral_dask.observer import EVENTS_AFTER, OBSERVE_EVERY, Observer, everything

FOUND = Observation(service={}, worker_group={})

TICK = 0.1
"""Seconds between two looks of a start at its observer."""


class Api:
    """Has the objects of an operator that acts after some seconds, and counts the requests."""

    def __init__(self, acts_after: float) -> None:
        self.now, self.requests, self.error, self._acts_after = 0.0, Counter[str](), None, acts_after
        self.has_pods = True

    async def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        self._request(f"get {kind.plural}")
        is_there = kind == kube.DASK_CLUSTERS or self.now >= self._acts_after
        return {"metadata": {"name": name}} if is_there else None

    async def list(self, kind: Kind, **_: str) -> list[dict[str, Any]]:
        self._request(f"list {kind.plural}")
        if kind == kube.PODS and not self.has_pods:
            return []
        return [{"involvedObject": {"name": name}} for name in ("run-1-scheduler", "another")]

    def _request(self, what: str) -> None:
        self.requests[what] += 1
        if self.error is not None:
            raise self.error


def observed(api: Any, *, until: Callable[[Observation], bool], deadline: float = 600) -> Observation:
    """Observe at each tick until something is observed; return the latest observation."""

    async def follow() -> Observation:
        observer = Observer(api, "run-1", deadline=deadline, clock=lambda: api.now)
        while not until(observation := await observer.observe()):
            api.now += TICK
        return observation

    return asyncio.run(follow())


def is_complete(observation: Observation) -> bool:
    return observation.service is not None and observation.worker_group is not None


def test_a_start_that_succeeds_soon_asks_for_no_pod_and_no_event() -> None:
    api = Api(acts_after=1.5)
    observed(api, until=is_complete)
    assert set(api.requests) == {"get services", "get daskworkergroups"}
    assert api.requests.total() <= 2 * 9


@pytest.mark.parametrize(("acts_after", "seconds"), [(4, 10), (1, 30), (1, 45)])
def test_a_start_makes_at_most_forty_requests(acts_after: float, seconds: float) -> None:
    api = Api(acts_after=acts_after)
    observed(api, until=lambda _: api.now >= seconds)
    assert api.requests.total() <= 40


def test_a_cluster_that_has_lost_its_pods_is_asked_for_again() -> None:
    api = Api(acts_after=0)
    api.has_pods = False
    observation = asyncio.run(everything(api, "run-1", with_events=False, before=FOUND))  # type: ignore[arg-type]
    assert set(api.requests) == {"list pods", "get daskclusters", "get services", "get daskworkergroups"}
    assert observation.pods == []


def test_what_the_operator_has_created_is_not_asked_for_again_before_the_next_observation() -> None:
    api = Api(acts_after=0)
    observed(api, until=lambda _: api.now >= OBSERVE_EVERY * 0.8 - TICK)
    assert api.requests == {"get services": 1, "get daskworkergroups": 1}


def test_a_start_that_takes_long_is_observed_with_pods_and_its_own_events() -> None:
    api = Api(acts_after=0)
    observation = observed(api, until=lambda latest: bool(latest.events))
    assert EVENTS_AFTER <= api.now <= EVENTS_AFTER + 2 * OBSERVE_EVERY
    assert len(observation.pods) == 2
    assert [event["involvedObject"]["name"] for event in observation.events] == ["run-1-scheduler"]
    assert api.requests["list events"] == 1


def test_at_the_deadline_everything_is_observed() -> None:
    api = Api(acts_after=600)
    observed(api, until=lambda latest: bool(latest.events), deadline=1)
    assert api.now == pytest.approx(1, abs=TICK)


def test_while_the_api_does_not_answer_the_latest_observation_remains_and_a_refusal_is_raised() -> None:
    api = Api(acts_after=0)

    async def follow() -> None:
        observer = Observer(api, "run-1", deadline=600, clock=lambda: api.now)  # type: ignore[arg-type]  the methods used
        before = await observer.observe()
        api.now, api.error = 10, KubeError(None, "no answer")
        assert await observer.observe() is before
        api.now, api.error = 20, KubeError(403, "forbidden")
        with pytest.raises(KubeError, match="forbidden"):
            await observer.observe()

    asyncio.run(follow())


def test_events_are_those_of_the_cluster() -> None:
    observation = asyncio.run(everything(Api(acts_after=0), "another", with_events=True))  # type: ignore[arg-type]
    assert [event["involvedObject"]["name"] for event in observation.events] == ["another"]
