from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ephemeral_dask import kube
from ephemeral_dask.diagnosis import Observation
from ephemeral_dask.kube import Kind, KubeError
from ephemeral_dask.observer import LOOK_AFTER, Observer, everything

TICK = 0.1
"""Seconds between two questions of a start to its observer."""


def pod(role: str, phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"name": f"run-1-{role}", "labels": {"dask.org/component": role}}, "status": {"phase": phase}}


class Api:
    """Has the objects of an operator that acts after some seconds, and counts the requests."""

    def __init__(self, acts_after: float = 0, *, pods: tuple[dict[str, Any], ...] = ()) -> None:
        self.now, self.requests, self._acts_after, self.pods = 0.0, Counter[str](), acts_after, pods
        self.error: KubeError | None = None
        self.ends_watches = False

    async def watch(self, kind: Kind, *, labels: str = "", fields: str = "") -> AsyncIterator[dict[str, Any]]:
        self._request(f"watch {kind.plural} {labels or fields}")
        before: dict[str, Any] | None = None
        while not self.ends_watches:
            objects = self._objects(kind)
            if objects != before:
                yield objects
            before = objects
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
        self.ends_watches = False

    def _objects(self, kind: Kind) -> dict[str, Any]:
        if self.now < self._acts_after:
            return {}
        objects = self.pods if kind == kube.PODS else ({"metadata": {"name": kind.plural}},)
        return {one["metadata"]["name"]: one for one in objects}

    async def get(self, kind: Kind, name: str) -> dict[str, Any]:
        self._request(f"get {kind.plural}")
        return {"metadata": {"name": name}}

    async def list(self, kind: Kind, **_: str) -> list[dict[str, Any]]:
        self._request(f"list {kind.plural}")
        return [{"involvedObject": {"name": name}} for name in ("run-1-scheduler", "another")]

    def _request(self, what: str) -> None:
        self.requests[what] += 1
        if self.error is not None:
            raise self.error


WATCHES = {
    "watch services metadata.name=run-1-scheduler": 1,
    "watch daskworkergroups metadata.name=run-1-default": 1,
    "watch pods dask.org/cluster-name=run-1": 1,
}


def observed(api: Api, *, until: Callable[[Observation], bool], deadline: float = 600) -> Observation:
    """Observe at each tick until something is observed; return the latest observation."""

    async def follow() -> Observation:
        async with Observer(api, "run-1", deadline=deadline, clock=lambda: api.now) as observer:  # type: ignore[arg-type]  # the methods used
            while not until(observation := await observer.observe()):
                api.now += TICK
                for _ in range(4):  # what the API has to say arrives
                    await asyncio.sleep(0)
            return observation

    return asyncio.run(follow())


def is_complete(observation: Observation) -> bool:
    return observation.service is not None and observation.worker_group is not None


def test_a_start_that_succeeds_soon_makes_three_requests_all_of_them_watches() -> None:
    api = Api(acts_after=1.5)
    observed(api, until=is_complete)
    assert api.requests == WATCHES


@pytest.mark.parametrize(("acts_after", "seconds", "most"), [(4, 30, 3), (100, 110, 14), (600, 600, 24)])
def test_a_start_makes_few_more_requests_while_the_operator_takes_long(
    acts_after: float, seconds: float, most: int
) -> None:
    api = Api(acts_after=acts_after, pods=(pod("scheduler"), pod("worker")))
    observed(api, until=lambda _: api.now >= seconds)
    assert api.requests.total() <= most


def test_pods_are_observed_as_they_change() -> None:
    api = Api(pods=(pod("scheduler", "Pending"),))
    observed(api, until=lambda latest: len(latest.pods) == 1)
    api.pods = (pod("scheduler"), pod("worker", "Pending"))
    observation = observed(api, until=lambda latest: len(latest.pods) == 2)
    assert [one["status"]["phase"] for one in observation.pods] == ["Running", "Pending"]


def test_events_of_the_cluster_alone_are_read_while_a_pod_does_not_run() -> None:
    api = Api(pods=(pod("scheduler"), pod("worker", "Pending")))
    observation = observed(api, until=lambda latest: bool(latest.events))
    assert LOOK_AFTER * 0.8 <= api.now <= LOOK_AFTER * 1.2 + TICK
    assert [event["involvedObject"]["name"] for event in observation.events] == ["run-1-scheduler"]
    assert api.requests == WATCHES | {"list events": 1}


def test_the_dask_cluster_is_read_while_the_operator_has_created_nothing() -> None:
    api = Api(acts_after=600)
    observation = observed(api, until=lambda latest: latest.cluster is not None)
    assert observation.service is None
    assert api.now >= LOOK_AFTER * 0.8


def test_at_the_deadline_everything_is_observed() -> None:
    api = Api(pods=(pod("scheduler"), pod("worker")))
    observation = observed(api, until=lambda latest: bool(latest.events), deadline=1)
    assert api.now == pytest.approx(1, abs=TICK)
    assert observation.cluster is not None


def test_a_watch_that_the_api_ends_is_followed_by_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ephemeral_dask.observer._WATCH_AGAIN_AFTER", 0.0)
    api = Api()
    api.ends_watches = True
    observed(api, until=is_complete)
    assert api.requests.total() == 4


def test_while_the_api_does_not_answer_the_last_known_state_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ephemeral_dask.observer._WATCH_AGAIN_AFTER", 0.0)
    api = Api()

    def is_without_an_answer(observation: Observation) -> bool:
        if is_complete(observation) and api.error is None:
            api.error = KubeError(None, "no answer")
        return api.requests.total() > 9

    assert is_complete(observed(api, until=is_without_an_answer))


def test_a_watch_that_the_api_refuses_is_raised() -> None:
    api = Api()
    api.error = KubeError(403, "cannot watch pods")
    with pytest.raises(KubeError, match="cannot watch pods"):
        observed(api, until=lambda _: False)


def test_no_watch_is_left_after_the_start() -> None:
    async def start() -> int:
        api = Api()
        async with Observer(api, "run-1", deadline=600) as observer:  # type: ignore[arg-type]  # the methods used
            await observer.observe()
        return len(asyncio.all_tasks())

    assert asyncio.run(start()) == 1


def test_events_are_those_of_the_cluster() -> None:
    observation = asyncio.run(everything(Api(), "another"))  # type: ignore[arg-type]  # the methods used
    assert [event["involvedObject"]["name"] for event in observation.events] == ["another"]
