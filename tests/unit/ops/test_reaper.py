"""The reaper's judgement, and its requests against a Kubernetes API of a few lines."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from ephemeral_dask.contract import labels
from ops import reaper
from ops.kubernetes import Kubernetes

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEEK = 7 * 24 * 3600


def at(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cluster(name: str = "etl", *, age: float = 100, owner: str | None = "u1", **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": "Job", "name": "job", "uid": owner}] if owner else []
    own = {"name": name, "uid": f"uid-{name}", "creationTimestamp": at(age), "ownerReferences": owners}
    return {"metadata": own | {"labels": {labels.COMPONENT: labels.DASK_POD, labels.FLOW_RUN: "run-1"}} | metadata}


def pod(phase: str, *, job: str = "u1", **metadata: Any) -> dict[str, Any]:
    found = {labels.JOB_UID: job, labels.COMPONENT: labels.FLOW_RUN_POD}
    return {"metadata": {"name": "flow", "labels": found} | metadata, "status": {"phase": phase}}


def scheduler(of: str, *, ready: bool) -> dict[str, Any]:
    found = {"dask.org/cluster-name": of, "dask.org/component": "scheduler", labels.COMPONENT: labels.DASK_POD}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "s", "labels": found}, "status": {"phase": "Running", "conditions": conditions}}


def job(condition: str = "", *, uid: str = "u1") -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {"metadata": {"name": "job", "uid": uid}, "status": {"conditions": conditions}}


def why(
    one: dict[str, Any], *pods: dict[str, Any], of: dict[str, Any] | None = None, maximum_lifetime: float = WEEK
) -> str:
    seen = reaper.Seen(now=NOW, pods=pods, jobs={"job": of} if of else {})
    return reaper.why_end(one, seen, maximum_lifetime=maximum_lifetime)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
@pytest.mark.parametrize("state", [None, job(), job("Failed")], ids=["job gone", "job runs", "job failed"])
def test_a_cluster_whose_flow_pod_lives_is_kept_whatever_its_job_says(phase: str, state: dict[str, Any] | None) -> None:
    assert why(cluster(age=WEEK - 1), pod(phase), of=state) == ""


def test_a_pod_that_is_ending_in_order_still_lives() -> None:
    assert why(cluster(), pod("Running", deletionTimestamp=at(-80)), of=job()) == ""


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_cluster_whose_flow_pod_has_ended_goes_before_the_job_says_so(phase: str) -> None:
    assert why(cluster(), pod(phase), of=job()) == "its flow pod has ended"


def test_a_pod_on_a_node_that_no_longer_answers_counts_as_ended_after_a_while() -> None:
    assert why(cluster(), pod("Running", deletionTimestamp=at(30)), of=job()) == ""
    assert why(cluster(), pod("Running", deletionTimestamp=at(90)), of=job()) == "its flow pod has ended"


def test_without_any_pod_the_job_decides() -> None:
    assert why(cluster(), of=job()) == ""
    assert why(cluster(), of=job("Complete")) == "its flow run's Job is over"
    assert why(cluster(), of=job("Failed")) == "its flow run's Job is over"
    assert why(cluster()) == "its flow run's Job is gone"


def test_another_job_of_the_same_name_does_not_keep_a_cluster() -> None:
    assert why(cluster(owner="u0"), pod("Running", job="u1"), of=job(uid="u1")) == "its flow run's Job is gone"


def test_nothing_lives_longer_than_the_maximum_lifetime_not_even_for_a_live_run() -> None:
    assert "maximum lifetime" in why(cluster(age=700), pod("Running"), of=job(), maximum_lifetime=600)


def test_a_cluster_without_a_job_goes_when_its_scheduler_is_not_ready_in_the_time_it_was_given() -> None:
    late = cluster(owner=None, age=700, annotations={labels.START_TIMEOUT: "600"})
    assert "not ready after 700 s" in why(late)
    assert "not ready after 700 s" in why(late, scheduler("etl", ready=False), scheduler("other", ready=True))
    assert why(late, scheduler("etl", ready=True)) == ""
    assert why(cluster(owner=None, age=500, annotations={labels.START_TIMEOUT: "600"})) == ""


def test_only_a_deleted_object_that_is_still_held_after_a_while_is_stuck() -> None:
    held = {"finalizers": ["kopf"]}
    assert reaper.stuck(cluster(deletionTimestamp=at(60), **held), NOW)
    assert not reaper.stuck(cluster(deletionTimestamp=at(10), **held), NOW)
    assert not reaper.stuck(cluster(deletionTimestamp=at(60)), NOW)
    assert not reaper.stuck(cluster(**held), NOW)


@dataclass
class FakeApi:
    """Answers lists from `objects` by plural name and remembers what was changed."""

    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    selectors: set[str] = field(default_factory=set)
    refuse: str = ""
    """Name of an object that may not be changed."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        dated = {"date": format_datetime(NOW, usegmt=True)}
        found = re.fullmatch(r"/apis?/(?:.+/)?v1/namespaces/flows/(\w+)(?:/([\w-]+))?", request.url.path)
        assert found, request.url
        plural, name = found.groups()
        if request.method != "GET":
            if name == self.refuse:
                return httpx.Response(403, text="not allowed")
            self.changes.append((request.method, f"{plural}/{name}", json.loads(request.content)))
            return httpx.Response(200, json={})
        if name is None:
            self.selectors.add(request.url.params["labelSelector"])
            return httpx.Response(200, json={"items": self.objects.get(plural, [])}, headers=dated)
        there = [one for one in self.objects.get(plural, []) if one["metadata"]["name"] == name]
        return httpx.Response(200, json=there[0]) if there else httpx.Response(404, text="no such thing")

    @property
    def kubernetes(self) -> Kubernetes:
        return Kubernetes("flows", httpx.Client(base_url="https://api", transport=httpx.MockTransport(self)))


def look(api: FakeApi) -> int:
    return reaper.look(api.kubernetes, maximum_lifetime=WEEK)


def test_what_is_over_is_deleted_by_name_and_identity_and_what_lives_is_left_alone() -> None:
    api = FakeApi({"daskclusters": [cluster("over", owner="u0"), cluster("alive")], "pods": [pod("Running")]})
    api.objects["jobs"] = [job()]
    assert look(api) == 2
    [(method, what, options)] = api.changes
    assert (method, what, options["preconditions"]) == ("DELETE", "daskclusters/over", {"uid": "uid-over"})


def test_only_clusters_of_this_platform_are_looked_at() -> None:
    api = FakeApi({"daskclusters": [cluster()]})
    look(api)
    assert all(selector.startswith(labels.COMPONENT) for selector in api.selectors)


def test_a_cluster_that_is_already_going_is_not_deleted_again() -> None:
    api = FakeApi({"daskclusters": [cluster(deletionTimestamp=at(5), finalizers=["kopf"])]})
    look(api)
    assert api.changes == []


def test_finalizers_that_nobody_takes_away_are_taken_away_from_each_kind() -> None:
    held = cluster(deletionTimestamp=at(60), finalizers=["kopf"])
    api = FakeApi({"daskclusters": [held], "daskautoscalers": [held]})
    look(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/etl", "daskautoscalers/etl"]
    assert all(sent == {"metadata": {"finalizers": None}} for _, _, sent in api.changes)


def test_a_refusal_about_one_cluster_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi({"daskclusters": [cluster("a"), cluster("b")]}, refuse="a")
    look(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/b"]
    assert "not allowed" in caplog.text


def test_the_probe_fails_once_the_api_has_not_answered_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    up = True

    def answer(request: httpx.Request) -> httpx.Response:
        if not up:
            raise httpx.ConnectError("refused", request=request)
        return FakeApi()(request)

    kubernetes = Kubernetes("flows", httpx.Client(base_url="https://api", transport=httpx.MockTransport(answer)))
    one = reaper.Reaper(kubernetes, maximum_lifetime=WEEK)
    server = reaper.serve_probe(one, 0)
    address = f"http://127.0.0.1:{server.server_address[1]}/healthz"
    one.once()
    assert httpx.get(address).status_code == 200
    up = False
    monkeypatch.setattr(reaper, "_DEAF_AFTER", 0.0)
    one.once()
    assert httpx.get(address).status_code == 503
    monkeypatch.setattr(reaper, "_DEAF_AFTER", 60.0)
    up = True
    one.once()
    assert httpx.get(address).status_code == 200
    server.shutdown()
    server.server_close()
