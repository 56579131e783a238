from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from infra.registration import session
from infra.registration.api import PrefectApi
from infra.registration.drain import DrainProvider, drain
from infra.registration.errors import RegistrationError
from infra.registration.kubernetes import LiveObjects

FIELDS = {"namespace": "flows", "pools": ["dask"], "runs": "cancel", "deadline": 300}


@dataclass
class Time:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Prefect:
    """Work pools and live runs; a cancelled run ends some seconds later, another one when it is due."""

    time: Time
    paused: dict[str, bool] = field(default_factory=lambda: {"dask": False})
    ends: dict[str, float] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    silent: bool = False

    def api(self) -> PrefectApi:
        transport = httpx.MockTransport(self._answer)
        client = httpx.Client(base_url="http://prefect/api", transport=transport)
        return PrefectApi(lambda: client, "http://prefect/api", clock=self.time, pause=self.time.wait)

    def _answer(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911  a table of addresses
        if self.silent:
            raise httpx.ConnectError("refused")
        body = json.loads(request.content) if request.content else None
        match (request.method, request.url.path.removeprefix("/api").strip("/").split("/")):
            case ("GET", ["health"]):
                return httpx.Response(200, json=True)
            case ("GET", ["admin", "version"]):
                return httpx.Response(200, json="3.8.8")
            case ("GET", ["work_pools", name]) if name in self.paused:
                return httpx.Response(200, json={"name": name, "is_paused": self.paused[name]})
            case ("GET", ["work_pools", _]):
                return httpx.Response(404, json={"detail": "Work pool not found"})
            case ("PATCH", ["work_pools", name]):
                self.paused[name] = body["is_paused"]
                return httpx.Response(204)
            case ("POST", ["flow_runs", "filter"]):
                live = [name for name, end in self.ends.items() if end > self.time.now]
                return httpx.Response(200, json=[{"id": n, "name": n, "state_type": "RUNNING"} for n in live])
            case ("POST", ["flow_runs", name, "set_state"]):
                self.cancelled.append(name)
                self.ends[name] = min(self.ends[name], self.time.now + 5)
                return httpx.Response(201, json={})
        raise AssertionError(request.url.path)


@dataclass
class Namespace:
    """Dask objects that the operator takes down some seconds after they are deleted, or never."""

    time: Time
    dask: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    operator: float | None = 3.0
    calls: list[str] = field(default_factory=list)
    deleted_at: float | None = None

    def live_objects(self) -> LiveObjects:
        gone = (
            self.deleted_at is not None
            and self.operator is not None
            and self.time.now >= self.deleted_at + self.operator
        )
        if gone:
            self.dask = ()
        return LiveObjects(jobs=self.jobs, dask=self.dask)

    def delete_runs(self) -> None:
        self.calls.append("delete")
        self.deleted_at, self.jobs = self.time.now, ()

    def force_delete(self, objects: tuple[str, ...]) -> None:
        self.calls.append("force delete")
        self.dask = tuple(name for name in self.dask if name not in objects)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def prefect(time: Time) -> Prefect:
    return Prefect(time)


@pytest.fixture
def namespace(time: Time) -> Namespace:
    return Namespace(time)


def run(prefect: Prefect, namespace: Namespace, **fields: Any) -> None:
    time = prefect.time
    drain(prefect.api(), namespace, {**FIELDS, **fields}, clock=time, pause=time.wait)


def test_draining_an_idle_stack_pauses_its_pools_and_does_not_wait(prefect: Prefect, namespace: Namespace) -> None:
    run(prefect, namespace)
    assert prefect.paused == {"dask": True}
    assert prefect.time.now == 0
    assert prefect.cancelled == []


def test_live_runs_are_cancelled_before_their_objects_are_deleted(prefect: Prefect, namespace: Namespace) -> None:
    prefect.ends = {"red-fox": 1000.0}
    namespace.dask = ("daskclusters/a",)
    run(prefect, namespace)
    assert prefect.cancelled == ["red-fox"]
    assert namespace.deleted_at is not None
    assert namespace.deleted_at >= 5
    assert namespace.calls == ["delete"]
    assert namespace.dask == ()


def test_a_refused_destroy_names_the_live_runs_and_resumes_the_pools(prefect: Prefect, namespace: Namespace) -> None:
    prefect.ends = {"red-fox": 1000.0, "it's 毎日 🙂": 1000.0}
    with pytest.raises(RegistrationError) as caught:
        run(prefect, namespace, runs="refuse")
    assert "2 flow run(s) are live: it's 毎日 🙂, red-fox," in str(caught.value)
    assert "drain.runs" in str(caught.value)
    assert prefect.paused == {"dask": False}
    assert namespace.calls == []


def test_a_refused_destroy_leaves_a_pool_paused_that_was_paused_by_hand(prefect: Prefect, namespace: Namespace) -> None:
    prefect.paused, prefect.ends = {"dask": True}, {"red-fox": 1000.0}
    with pytest.raises(RegistrationError):
        run(prefect, namespace, runs="refuse")
    assert prefect.paused == {"dask": True}


def test_wait_does_not_cancel_a_run_that_ends_in_time(prefect: Prefect, namespace: Namespace) -> None:
    prefect.ends = {"red-fox": 100.0}
    run(prefect, namespace, runs="wait")
    assert prefect.cancelled == []
    assert prefect.time.now >= 100


def test_wait_cancels_runs_that_are_live_at_the_deadline(prefect: Prefect, namespace: Namespace) -> None:
    prefect.ends = {"red-fox": 10_000.0}
    run(prefect, namespace, runs="wait", deadline=60)
    assert prefect.cancelled == ["red-fox"]
    assert 60 <= prefect.time.now < 130


def test_dask_objects_that_the_operator_leaves_lose_their_finalizers(prefect: Prefect, namespace: Namespace) -> None:
    namespace.dask, namespace.operator = ("daskclusters/a", "daskautoscalers/a"), None
    run(prefect, namespace)
    assert namespace.calls == ["delete", "force delete"]
    assert namespace.dask == ()


def test_an_unreachable_prefect_server_does_not_block_a_destroy(
    prefect: Prefect, namespace: Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    prefect.silent, namespace.jobs = True, ("red-fox-abc",)
    run(prefect, namespace)
    assert namespace.calls == ["delete"]
    assert "Kubernetes only" in capsys.readouterr().err


def test_refuse_counts_the_jobs_in_kubernetes_if_prefect_is_unreachable(prefect: Prefect, namespace: Namespace) -> None:
    prefect.silent, namespace.jobs = True, ("red-fox-abc",)
    with pytest.raises(RegistrationError, match="red-fox-abc"):
        run(prefect, namespace, runs="refuse")
    assert namespace.calls == []


def test_a_deleted_work_pool_does_not_block_a_destroy(prefect: Prefect, namespace: Namespace) -> None:
    prefect.paused = {}
    run(prefect, namespace)
    assert namespace.calls == ["delete"]


@pytest.fixture
def provider() -> DrainProvider:
    return DrainProvider()


def test_only_a_changed_drain_policy_is_an_update(provider: DrainProvider) -> None:
    assert provider.diff("flows", dict(FIELDS), dict(FIELDS)).changes is False
    assert provider.diff("flows", dict(FIELDS), {**FIELDS, "runs": "refuse"}).changes is True


def _checked(
    monkeypatch: pytest.MonkeyPatch, provider: DrainProvider, numbers: list[int], olds: list[str], news: list[str]
) -> list[str]:
    """Return the paths that a check asks for, with a server that counts runs."""
    requests: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        requests.append(path)
        if path == "/flow_runs/count":
            return httpx.Response(200, json=numbers.pop(0))
        if path.startswith("/deployments/"):
            return httpx.Response(200, json={"id": "one"})
        return httpx.Response(200, json=True if path == "/health" else "3.8.8")

    client = httpx.Client(base_url="http://prefect/api", transport=httpx.MockTransport(answer))
    monkeypatch.setattr(session, "api", lambda _: PrefectApi(lambda: client, "http://prefect/api"))
    reach = {"reach": {"url": "http://prefect/api"}}
    assert provider.check({**reach, "deployments": olds}, {**reach, "deployments": news}).failures == []
    return requests


def test_a_preview_names_the_runs_of_a_deployment_that_is_to_go(
    provider: DrainProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _checked(monkeypatch, provider, [2, 1, 0, 3, 9, 8], ["a/old", "a/same"], ["a/new", "a/same"])
    text = capsys.readouterr().err
    assert "warning: Deployment 'a/old' is not declared any longer, so it will be deleted, and it has runs: 2" in text
    assert "2 running, 1 pending, 3 waiting, 1 scheduled by hand" in text


@pytest.mark.parametrize("key", ["Daily Report/every minute", "日本/毎日 🙂", "a::b/c?#d", "f/.."])
def test_a_deployment_that_is_to_go_may_have_any_name(
    key: str, provider: DrainProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = _checked(monkeypatch, provider, [1, 0, 0, 0, 0, 0], [key], [])
    assert f"/deployments/name/{key}" in requests
    assert f"warning: Deployment '{key}' is not declared any longer" in capsys.readouterr().err


def test_a_preview_that_removes_no_deployment_asks_nothing(
    provider: DrainProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _checked(monkeypatch, provider, [], ["a/same"], ["a/new", "a/same"]) == []
    assert _checked(monkeypatch, provider, [], [], ["a/new"]) == []


def test_the_declared_deployments_are_not_a_change_of_the_drain(provider: DrainProvider) -> None:
    assert not provider.diff("flows", {**FIELDS, "deployments": ["a/b"]}, {**FIELDS, "deployments": []}).changes
    assert not provider.diff("flows", dict(FIELDS), {**FIELDS, "deployments": ["a/b"]}).changes
