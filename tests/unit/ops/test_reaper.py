"""The reaper's loop: its health, its memory, and objects that anyone may have created."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from ephemeral_dask.contract import labels
from ops import reaper
from ops.kubernetes import Kubernetes
from tests.unit.ops.fakes import FakeKubernetes, cluster, flow_pod, job, waiting

WEEK = 7 * 24 * 3600


def reaper_of(api: Any) -> reaper.Reaper:
    client = httpx.Client(base_url="https://api", transport=httpx.MockTransport(api))
    return reaper.Reaper(Kubernetes("flows", client), maximum_lifetime=WEEK)


def test_the_probe_fails_after_a_minute_without_an_answer_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeKubernetes()
    one = reaper_of(api)
    server = reaper.serve(one, Mock(), 0)
    address = f"http://127.0.0.1:{server.server_address[1]}/healthz"
    one.once()
    assert httpx.get(address).status_code == 200
    api.is_up = False
    monkeypatch.setattr(reaper, "_PROBE_FAILS_AFTER", 0.0)
    one.once()
    assert httpx.get(address).status_code == 503
    monkeypatch.setattr(reaper, "_PROBE_FAILS_AFTER", 60.0)
    api.is_up = True
    one.once()
    assert httpx.get(address).status_code == 200
    server.shutdown()
    server.server_close()


def test_dask_clusters_are_reaped_by_what_is_listed() -> None:
    api = FakeKubernetes({"daskclusters": [cluster("over", owner="u0"), cluster("alive")]})
    api.objects |= {"jobs": [job()], "pods": [flow_pod("Running")]}
    reaper_of(api).once()
    assert api.deleted() == ["daskclusters/over"]


HOSTILE: tuple[Any, ...] = (
    {"metadata": {"name": "odd"}, "status": {"phase": "Running", "conditions": None, "containerStatuses": None}},
    {"metadata": {"name": "odd", "labels": None, "creationTimestamp": "soon"}},
    flow_pod("Failed", status={"containerStatuses": [{"state": {"terminated": "yes"}}, None, 7]}),
    flow_pod("Pending", status={"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": 7}]}),
    flow_pod("Running", deletionTimestamp="9999"),
    flow_pod("Running", run="not-an-id", uid="u7"),
    {"metadata": {"name": "odd", "uid": 7, "annotations": {"a": "x" * 250_000}}},
    {"metadata": []},
    {},
)


@pytest.mark.parametrize("odd", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malformed_pod_or_job_stops_nothing(odd: Any) -> None:
    api = FakeKubernetes({"pods": [odd], "jobs": [odd], "daskclusters": [cluster("over", owner="u0")]})
    one = reaper_of(api)
    one.once()
    assert api.deleted() == ["daskclusters/over"]


def test_an_object_that_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    one = reaper_of(FakeKubernetes({"jobs": [{"metadata": {"name": "unreadable"}}]}))
    one.once()
    one.once()
    assert caplog.text.count("Job unreadable is skipped") == 1


def test_a_list_that_expires_between_two_pages_is_read_again_at_the_next_check() -> None:
    api = FakeKubernetes({"pods": [flow_pod("Running", uid=str(number)) for number in range(60)]})
    api.objects["daskclusters"] = [cluster("over", owner="u0")]
    expired = True

    def answer(request: httpx.Request) -> httpx.Response:
        if expired and "continue" in request.url.params:
            return httpx.Response(410, json={"reason": "Expired"})
        return api(request)

    one = reaper_of(answer)
    one.once()
    assert api.deleted() == []
    expired = False
    one.once()
    assert api.deleted() == ["daskclusters/over"]


def test_memory_is_bounded_with_five_thousand_pods_of_any_size() -> None:
    """The limit of its container is 128 MiB, of which Python and the libraries need 40."""
    annotations = {"notes": "x" * 8000}
    pod = flow_pod("Pending", status=waiting("ImagePullBackOff", "m" * 3000), annotations=annotations)
    page = json.dumps([pod] * 50)
    served = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal served
        if "/pods" not in request.url.path or "dask.org" in request.url.params["labelSelector"]:
            return FakeKubernetes()(request)
        served += 50
        more = json.dumps({"continue": str(served)} if served < 5000 else {})
        dated = {"date": "Sun, 01 Mar 2026 12:00:00 GMT"}
        return httpx.Response(200, text=f'{{"metadata": {more}, "items": {page}}}', headers=dated)

    one = reaper_of(answer)
    tracemalloc.start()
    one.once()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert served == 5000
    assert peak < 24 * 2**20, f"{peak / 2**20:.0f} MiB"


def test_every_list_is_read_in_pages() -> None:
    api = FakeKubernetes({"pods": [flow_pod("Running", uid=str(number)) for number in range(120)]})
    api.objects["jobs"] = [job(uid=str(number)) for number in range(120)]
    api.objects["daskclusters"] = [cluster(str(number)) for number in range(120)]
    reaper_of(api).once()
    assert api.largest_page == 50
    assert {labels.PREFECT_FLOW_RUN, f"{labels.COMPONENT}={labels.FLOW_RUN_POD}", labels.COMPONENT} == api.selectors


def test_the_settings_of_each_work_pool_are_read() -> None:
    read = reaper.bounds({"dask": {"pendingTimeout": 600, "crashedAfter": None}})
    assert (read["dask"].pending_timeout, read["dask"].crashed_after) == (600, None)
