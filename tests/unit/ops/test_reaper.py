"""What the reaper deletes, and its requests to a small fake of the Kubernetes API."""

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
    pod_labels = {labels.JOB_UID: job, labels.COMPONENT: labels.FLOW_RUN_POD}
    return {"metadata": {"name": "flow", "labels": pod_labels} | metadata, "status": {"phase": phase}}


def scheduler(of: str, *, ready: bool) -> dict[str, Any]:
    pod_labels = {"dask.org/cluster-name": of, "dask.org/component": "scheduler", labels.COMPONENT: labels.DASK_POD}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "s", "labels": pod_labels}, "status": {"phase": "Running", "conditions": conditions}}


def job(condition: str = "", *, uid: str = "u1") -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {"metadata": {"name": "job", "uid": uid}, "status": {"conditions": conditions}}


def why(
    one: dict[str, Any], *pods: dict[str, Any], of: dict[str, Any] | None = None, maximum_lifetime: float = WEEK
) -> str:
    state = reaper.NamespaceState(now=NOW, pods=pods, jobs={"job": of} if of else {})
    return reaper.deletion_reason(one, state, maximum_lifetime=maximum_lifetime)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
@pytest.mark.parametrize("state", [None, job(), job("Failed")], ids=["job gone", "job runs", "job failed"])
def test_a_cluster_with_a_live_flow_pod_is_kept_whatever_its_job_says(phase: str, state: dict[str, Any] | None) -> None:
    assert why(cluster(age=WEEK - 1), pod(phase), of=state) == ""


def test_a_terminating_pod_is_alive_during_its_grace_period() -> None:
    assert why(cluster(), pod("Running", deletionTimestamp=at(-80)), of=job()) == ""


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_cluster_is_deleted_once_its_flow_pod_has_ended(phase: str) -> None:
    assert why(cluster(), pod(phase), of=job()) == "its flow pod has ended"


def test_a_terminating_pod_on_a_lost_node_counts_as_ended_after_a_while() -> None:
    assert why(cluster(), pod("Running", deletionTimestamp=at(30)), of=job()) == ""
    assert why(cluster(), pod("Running", deletionTimestamp=at(90)), of=job()) == "its flow pod has ended"


def test_without_a_flow_pod_the_job_decides() -> None:
    assert why(cluster(), of=job()) == ""
    assert why(cluster(), of=job("Complete")) == "its flow run's Job has ended"
    assert why(cluster(), of=job("Failed")) == "its flow run's Job has ended"
    assert why(cluster()) == "its flow run's Job was deleted"


def test_a_new_job_with_the_same_name_does_not_keep_a_cluster() -> None:
    assert why(cluster(owner="u0"), pod("Running", job="u1"), of=job(uid="u1")) == "its flow run's Job was deleted"


def test_a_cluster_is_deleted_at_its_maximum_lifetime_even_with_a_live_run() -> None:
    assert "maximum lifetime" in why(cluster(age=700), pod("Running"), of=job(), maximum_lifetime=600)


def test_a_cluster_without_a_job_is_deleted_if_its_scheduler_is_not_ready_in_time() -> None:
    late = cluster(owner=None, age=700, annotations={labels.START_TIMEOUT: "600"})
    assert "not ready after 700 s" in why(late)
    assert "not ready after 700 s" in why(late, scheduler("etl", ready=False), scheduler("other", ready=True))
    assert why(late, scheduler("etl", ready=True)) == ""
    assert why(cluster(owner=None, age=500, annotations={labels.START_TIMEOUT: "600"})) == ""


def test_only_a_deleted_object_with_finalizers_is_stuck_after_a_while() -> None:
    stuck = {"finalizers": ["kopf"]}
    assert reaper.is_stuck(cluster(deletionTimestamp=at(60), **stuck), NOW)
    assert not reaper.is_stuck(cluster(deletionTimestamp=at(10), **stuck), NOW)
    assert not reaper.is_stuck(cluster(deletionTimestamp=at(60)), NOW)
    assert not reaper.is_stuck(cluster(**stuck), NOW)


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
        match = re.fullmatch(r"/apis?/(?:.+/)?v1/namespaces/flows/(\w+)(?:/([\w-]+))?", request.url.path)
        assert match, request.url
        plural, name = match.groups()
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


def reap(api: FakeApi) -> int:
    return reaper.reap(api.kubernetes, maximum_lifetime=WEEK)


def test_only_clusters_of_ended_runs_are_deleted_by_name_and_uid() -> None:
    api = FakeApi({"daskclusters": [cluster("over", owner="u0"), cluster("alive")], "pods": [pod("Running")]})
    api.objects["jobs"] = [job()]
    assert reap(api) == 2
    [(method, what, options)] = api.changes
    assert (method, what, options["preconditions"]) == ("DELETE", "daskclusters/over", {"uid": "uid-over"})


def test_only_objects_with_this_projects_labels_are_listed() -> None:
    api = FakeApi({"daskclusters": [cluster()]})
    reap(api)
    assert all(selector.startswith(labels.COMPONENT) for selector in api.selectors)


def test_a_cluster_that_is_being_deleted_is_not_deleted_again() -> None:
    api = FakeApi({"daskclusters": [cluster(deletionTimestamp=at(5), finalizers=["kopf"])]})
    reap(api)
    assert api.changes == []


def test_the_finalizers_of_stuck_objects_of_every_kind_are_removed() -> None:
    stuck = cluster(deletionTimestamp=at(60), finalizers=["kopf"])
    api = FakeApi({"daskclusters": [stuck], "daskautoscalers": [stuck]})
    reap(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/etl", "daskautoscalers/etl"]
    assert all(sent == {"metadata": {"finalizers": None}} for _, _, sent in api.changes)


def test_a_refusal_for_one_cluster_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi({"daskclusters": [cluster("a"), cluster("b")]}, refuse="a")
    reap(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/b"]
    assert "not allowed" in caplog.text


def test_the_probe_fails_after_a_minute_without_an_answer_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(reaper, "_PROBE_FAILS_AFTER", 0.0)
    one.once()
    assert httpx.get(address).status_code == 503
    monkeypatch.setattr(reaper, "_PROBE_FAILS_AFTER", 60.0)
    up = True
    one.once()
    assert httpx.get(address).status_code == 200
    server.shutdown()
    server.server_close()
