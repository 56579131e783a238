"""What the reaper asks when Prometheus comes."""

from __future__ import annotations

import threading

import httpx
import pytest

from ops import exposition, reaper
from ops.exposition import Exposition
from ops.judgement import Bounds
from ops.metrics import Metrics
from tests.unit.ops.fakes import FakeKubernetes, FakePrefect, at, flow_pod, scheduler

RUNS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(10)]


class Scraped:
    """The page between both APIs."""

    def __init__(self) -> None:
        self.kubernetes, self.prefect = FakeKubernetes(), FakePrefect()
        self.time = 0.0
        self.metrics = Metrics({"dask": Bounds(pending_timeout=600, crashed_after=None)})
        self.page = Exposition(self.metrics, self.kubernetes.client, self.prefect.client, clock=lambda: self.time).page

    def scrape(self) -> None:
        self.time += 30
        self.page()

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"ephemeral_dask_{name}", labels)

    def ended(self, state: str) -> float | None:
        return self.value("flow_runs_ended_total", work_pool="dask", state=state)


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


def test_runs_that_ended_since_the_last_scrape_are_counted_once_by_final_state(scraped: Scraped) -> None:
    scraped.prefect.add("COMPLETED", RUNS[0], end_time=at(7000))
    scraped.scrape()
    scraped.prefect.add("CRASHED", RUNS[1], end_time=at(5))
    scraped.prefect.add("COMPLETED", RUNS[2], end_time=at(0))
    scraped.prefect.add("RUNNING", RUNS[3], start_time=at(5), expected_start_time=at(5))
    scraped.prefect.add("COMPLETED", RUNS[4], pool="others", end_time=at(0))
    for _ in range(3):
        scraped.scrape()
    assert (scraped.ended("crashed"), scraped.ended("completed"), scraped.ended("failed")) == (1, 1, 0)


def test_a_run_that_ended_just_before_the_first_scrape_was_counted_by_the_reaper_before(scraped: Scraped) -> None:
    scraped.prefect.add("COMPLETED", RUNS[1], start_time=at(20), expected_start_time=at(25), end_time=at(5))
    for _ in range(2):
        scraped.scrape()
    assert scraped.ended("completed") == 0
    assert scraped.value("flow_run_queue_seconds_count", work_pool="dask") == 0


def test_a_run_that_ends_again_after_a_retry_is_counted_again(scraped: Scraped) -> None:
    scraped.scrape()
    scraped.prefect.add("FAILED", RUNS[1], end_time=at(5))
    scraped.scrape()
    scraped.prefect.add("COMPLETED", RUNS[1], end_time=at(1))
    scraped.scrape()
    assert (scraped.ended("failed"), scraped.ended("completed")) == (1, 1)


def test_the_time_until_running_is_that_of_the_first_start_and_runs_that_have_not_started_have_none(
    scraped: Scraped,
) -> None:
    scraped.scrape()
    scraped.prefect.add("RUNNING", RUNS[1], expected_start_time=at(20), start_time=at(8))
    scraped.prefect.add("SCHEDULED", RUNS[2], expected_start_time=at(-600))
    for _ in range(2):
        scraped.scrape()
    assert scraped.value("flow_run_queue_seconds_count", work_pool="dask") == 1
    assert scraped.value("flow_run_queue_seconds_sum", work_pool="dask") == 12
    assert scraped.value("flow_run_queue_seconds_bucket", work_pool="dask", le="10.0") == 0


def test_runs_that_are_due_are_counted_and_a_retry_delay_is_not(scraped: Scraped) -> None:
    scraped.prefect.add("SCHEDULED", RUNS[1], name="Late", next_scheduled_start_time=at(30))
    scraped.prefect.add("SCHEDULED", RUNS[2], name="Late", next_scheduled_start_time=at(90))
    scraped.prefect.add("SCHEDULED", RUNS[3], name="AwaitingRetry", next_scheduled_start_time=at(500))
    scraped.prefect.add("SCHEDULED", RUNS[4], next_scheduled_start_time=at(-60))
    scraped.scrape()
    # The first answer of the server says what time it is.
    assert scraped.value("due_flow_runs", work_pool="dask") == 2
    assert scraped.value("oldest_due_flow_run_seconds", work_pool="dask") == 90
    scraped.prefect.runs.clear()
    scraped.scrape()
    assert scraped.value("oldest_due_flow_run_seconds", work_pool="dask") == 0


def test_the_newest_heartbeat_of_a_pools_workers_counts_and_none_is_zero(scraped: Scraped) -> None:
    scraped.scrape()
    assert scraped.value("worker_heartbeat_timestamp_seconds", work_pool="dask") == 0
    scraped.prefect.worker_heartbeats = [at(900), None, at(10)]
    scraped.prefect.paused = True
    scraped.scrape()
    assert scraped.value("worker_heartbeat_timestamp_seconds", work_pool="dask") == 1772366390
    assert scraped.value("work_pool_paused", work_pool="dask") == 1


def test_dask_pods_are_counted_by_component_and_phase(scraped: Scraped) -> None:
    waiting = scheduler("b", ready=False) | {"status": {"phase": "Pending"}}
    scraped.kubernetes.objects["pods"] = [scheduler("a", ready=True), waiting, flow_pod("Running"), {"metadata": []}]
    scraped.scrape()
    assert scraped.value("dask_pods", component="scheduler", phase="running") == 1
    assert scraped.value("dask_pods", component="scheduler", phase="pending") == 1
    assert scraped.value("dask_pods", component="worker", phase="running") == 0


def test_what_an_api_that_does_not_answer_would_say_is_left_out_and_the_rest_is_served(scraped: Scraped) -> None:
    scraped.scrape()
    scraped.prefect.is_up = False
    scraped.scrape()
    assert (scraped.value("api_up", api="prefect"), scraped.value("api_up", api="kubernetes")) == (0, 1)
    assert scraped.value("due_flow_runs", work_pool="dask") is None
    assert scraped.value("dask_pods", component="worker", phase="running") == 0
    scraped.prefect.is_up = True
    scraped.prefect.add("COMPLETED", RUNS[1], end_time=at(5))
    scraped.scrape()
    assert scraped.value("api_up", api="prefect") == 1
    assert scraped.ended("completed") == 1


def test_an_answer_that_breaks_off_is_neither_lost_nor_counted_twice(scraped: Scraped) -> None:
    scraped.scrape()
    scraped.prefect.add("COMPLETED", RUNS[1], end_time=at(5), start_time=at(9), expected_start_time=at(9))
    scraped.prefect.goes_away_at = "/flow_runs/filter"
    scraped.scrape()
    assert scraped.ended("completed") == 0
    scraped.prefect.goes_away_at = ""
    scraped.scrape()
    scraped.scrape()
    assert scraped.ended("completed") == 1


def test_two_prometheus_servers_share_an_answer(scraped: Scraped, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Exposition, "_dask_pods", lambda _: asked.append(1))
    scraped.scrape()
    threads = [threading.Thread(target=scraped.page) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    scraped.time += exposition.FRESH
    scraped.page()
    assert len(asked) == 2


def test_the_page_is_served_beside_the_probe_as_text_for_prometheus(scraped: Scraped) -> None:
    server = reaper.serve(
        reaper.Reaper(scraped.kubernetes.client, maximum_lifetime=60),
        Exposition(scraped.metrics, scraped.kubernetes.client, scraped.prefect.client),
        0,
    )
    try:
        answer = httpx.get(f"http://127.0.0.1:{server.server_address[1]}/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'ephemeral_dask_api_up{api="prefect"} 1.0' in answer.text
    finally:
        server.shutdown()
        server.server_close()
