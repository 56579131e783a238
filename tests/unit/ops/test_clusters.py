"""Which Dask clusters are deleted, and the requests for it to a small fake of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ephemeral_dask.contract import labels
from ops import clusters, objects
from tests.unit.ops.fakes import NOW, FakeKubernetes, at, cluster, flow_pod, job, scheduler, terminated

WEEK = 7 * 24 * 3600


def why(
    one: dict[str, Any],
    *pods: dict[str, Any],
    of: dict[str, Any] | None = None,
    ready: tuple[str, ...] = (),
    maximum_lifetime: float = WEEK,
) -> str:
    kept = [objects.job(of)] if of else []
    state = clusters.NamespaceState(
        now=NOW,
        pods=[objects.flow_pod(pod) for pod in pods],
        jobs={each.uid: each for each in kept},
        ready=frozenset(ready),
    )
    return clusters.deletion_reason(clusters.cluster(one), state, maximum_lifetime=maximum_lifetime)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
@pytest.mark.parametrize("state", [None, job(), job("Failed")], ids=["job gone", "job runs", "job failed"])
def test_a_cluster_with_a_live_flow_pod_is_kept_whatever_its_job_says(phase: str, state: dict[str, Any] | None) -> None:
    assert why(cluster(age=WEEK - 1), flow_pod(phase), of=state) == ""


def test_a_terminating_pod_is_alive_during_its_grace_period() -> None:
    assert why(cluster(), flow_pod("Running", deletionTimestamp=at(-80)), of=job()) == ""


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_cluster_is_deleted_once_its_flow_pod_has_ended(phase: str) -> None:
    assert why(cluster(), flow_pod(phase), of=job()) == "its flow pod has ended"


def test_a_cluster_is_deleted_once_its_flow_has_ended_beside_a_sidecar_that_does_not() -> None:
    sidecar = {"name": "istio-proxy", "state": {"running": {}}}
    status = {"containerStatuses": [*terminated(0)["containerStatuses"], sidecar]}
    assert why(cluster(), flow_pod("Running", status=status), of=job()) == "its flow pod has ended"


def test_a_terminating_pod_on_a_lost_node_counts_as_ended_after_a_while() -> None:
    assert why(cluster(), flow_pod("Running", deletionTimestamp=at(30)), of=job()) == ""
    assert why(cluster(), flow_pod("Running", deletionTimestamp=at(90)), of=job()) == "its flow pod has ended"


def test_without_a_flow_pod_the_job_decides() -> None:
    assert why(cluster(), of=job()) == ""
    assert why(cluster(), of=job("Complete")) == "its flow run's Job has ended"
    assert why(cluster(), of=job("Failed")) == "its flow run's Job has ended"
    assert why(cluster()) == "its flow run's Job was deleted"


def test_a_new_job_with_the_same_name_does_not_keep_a_cluster() -> None:
    assert why(cluster(owner="u0"), flow_pod("Running"), of=job()) == "its flow run's Job was deleted"


def test_a_cluster_is_deleted_at_its_maximum_lifetime_even_with_a_live_run() -> None:
    assert "maximum lifetime" in why(cluster(age=700), flow_pod("Running"), of=job(), maximum_lifetime=600)


def test_a_cluster_without_a_job_is_deleted_if_its_scheduler_is_not_ready_in_time() -> None:
    late = cluster(owner=None, age=700, annotations={labels.START_TIMEOUT: "600"})
    assert "not ready after 700 s" in why(late)
    assert "not ready after 700 s" in why(late, ready=("other",))
    assert why(late, ready=("etl",)) == ""
    assert why(cluster(owner=None, age=500, annotations={labels.START_TIMEOUT: "600"})) == ""


def test_only_a_deleted_object_with_finalizers_is_stuck_after_a_while() -> None:
    stuck = {"finalizers": ["kopf"]}
    assert clusters.is_stuck(cluster(deletionTimestamp=at(60), **stuck), NOW)
    assert not clusters.is_stuck(cluster(deletionTimestamp=at(10), **stuck), NOW)
    assert not clusters.is_stuck(cluster(deletionTimestamp=at(60)), NOW)
    assert not clusters.is_stuck(cluster(**stuck), NOW)


def reap(api: FakeKubernetes) -> Mapping[str, int]:
    pods = [objects.flow_pod(pod) for pod in api.objects.get("pods", []) if "dask.org" not in str(pod)]
    jobs = [objects.job(each) for each in api.objects.get("jobs", [])]
    return clusters.reap(api.client, pods, jobs, maximum_lifetime=WEEK)


def test_only_clusters_of_ended_runs_are_deleted_by_name_and_uid() -> None:
    api = FakeKubernetes({"daskclusters": [cluster("over", owner="u0"), cluster("alive")]})
    api.objects |= {"jobs": [job()], "pods": [flow_pod("Running")]}
    assert reap(api) == {"over": 1, "unhandled": 1}
    [(method, what, options)] = api.changes
    assert (method, what, options["preconditions"]) == ("DELETE", "daskclusters/over", {"uid": "uid-over"})


def test_the_job_of_a_cluster_may_be_another_than_a_flow_runs() -> None:
    api = FakeKubernetes({"daskclusters": [cluster()], "jobs": [job()]})
    assert clusters.reap(api.client, [], [], maximum_lifetime=WEEK) == {"unhandled": 1}
    assert api.changes == []


def test_the_scheduler_decides_about_a_cluster_without_an_owner() -> None:
    late = {"owner": None, "age": 700, "annotations": {labels.START_TIMEOUT: "600"}}
    api = FakeKubernetes({"daskclusters": [cluster("up", **late), cluster("down", **late)]})
    api.objects["pods"] = [scheduler("up", ready=True), scheduler("down", ready=False)]
    reap(api)
    assert api.deleted() == ["daskclusters/down"]


def test_only_objects_with_this_projects_labels_are_listed() -> None:
    api = FakeKubernetes({"daskclusters": [cluster(owner=None)]})
    reap(api)
    assert all(selector.startswith(labels.COMPONENT) for selector in api.selectors)


def test_a_cluster_that_is_being_deleted_is_not_deleted_again() -> None:
    api = FakeKubernetes({"daskclusters": [cluster(deletionTimestamp=at(5), finalizers=["kopf"])]})
    reap(api)
    assert api.changes == []


def test_the_finalizers_of_stuck_objects_of_every_kind_are_removed() -> None:
    stuck = cluster(deletionTimestamp=at(60), finalizers=["kopf"])
    api = FakeKubernetes({"daskclusters": [stuck], "daskautoscalers": [stuck]})
    reap(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/etl", "daskautoscalers/etl"]
    assert all(sent == {"metadata": {"finalizers": None}} for _, _, sent in api.changes)


def test_a_refusal_for_one_cluster_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeKubernetes({"daskclusters": [cluster("a"), cluster("b")]}, refuse="a")
    reap(api)
    assert [what for _, what, _ in api.changes] == ["daskclusters/b"]
    assert "not allowed" in caplog.text


HOSTILE = (
    cluster("odd", owner=None, annotations={labels.START_TIMEOUT: "soon"}),
    cluster("odd", owner=None, annotations={labels.START_TIMEOUT: ["600"]}),
    cluster("odd", owner=None, annotations={labels.START_TIMEOUT: "nan"}),
    cluster("odd", creationTimestamp="yesterday"),
    cluster("odd", deletionTimestamp="yesterday", finalizers=["kopf"]),
    cluster("odd", ownerReferences="Job"),
    cluster("odd", ownerReferences=[{"kind": "Job"}]),
    cluster("odd", owner=None, labels=None, annotations="none"),
    {"metadata": {}},
    {"metadata": None},
    {},
)


@pytest.mark.parametrize("odd", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malformed_cluster_stops_no_other(odd: dict[str, Any]) -> None:
    api = FakeKubernetes({kind: [odd] for kind in ("daskclusters", "daskautoscalers", "daskworkergroups")})
    api.objects["daskclusters"].append(cluster("over", owner="u0"))
    reap(api)
    assert api.deleted()[-1:] == ["daskclusters/over"]


@pytest.mark.parametrize("timeout", ["soon", "10m", "", "nan"])
def test_a_malformed_start_timeout_is_logged_and_counts_as_the_default(
    timeout: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"odd-{timeout}"
    assert why(cluster(name, owner=None, age=700, annotations={labels.START_TIMEOUT: timeout})) == ""
    assert name in caplog.text
