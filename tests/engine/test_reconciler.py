"""The reaper's loop on a real Prefect server: what becomes of runs, and of leases when the server is restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops import objects
from ops.exposition import Exposition
from ops.judgement import Bounds, Judge, World
from ops.metrics import Metrics
from ops.prefect import Prefect
from ops.runs import Runs
from tests.engine.conftest import QUIET
from tests.support import scratch_prefect
from tests.unit.ops.fakes import FakeKubernetes, flow_pod, job, terminated, waiting
from tools.cluster.wait import until

POOL = "reconciled"
AUTH = "admin:secret"

pytestmark = pytest.mark.xdist_group("reconciler")
"""The tests share a server."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {
        **QUIET,
        "PREFECT_SERVER_API_AUTH_STRING": AUTH,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_METRICS_ENABLED": "true",
    }
    home = tmp_path_factory.mktemp("prefect")
    with scratch_prefect.running(home, "--no-services", settings=settings) as address:
        yield address


@pytest.fixture
def prefect(server: str, monkeypatch: pytest.MonkeyPatch) -> Prefect:
    monkeypatch.setenv("PREFECT_API_URL", server)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", AUTH)
    return Prefect.of_environment()


class Loop:
    """The loop between a fake of Kubernetes and the server, with a deployment that admits one run."""

    def __init__(self, prefect: Prefect) -> None:
        self.prefect = prefect
        self.process = Prefect.of_environment()
        # The server leaves leases to a client that says that it knows them.
        self.process._client.headers["User-Agent"] = f"prefect/{version('prefect')} (API 0)"
        self.kubernetes = FakeKubernetes()
        self.time = 0.0
        judge = Judge(namespace="flows", bounds={POOL: Bounds(pending_timeout=60, crashed_after=300)})
        self.runs = Runs(self.kubernetes.client, prefect, judge, clock=lambda: self.time)
        if not self.call("POST", "/work_pools/filter", {"work_pools": {"name": {"any_": [POOL]}}}):
            self.call("POST", "/work_pools/", {"name": POOL, "type": "kubernetes"})
        flow = self.call("POST", "/flows/", {"name": "reconciled"})["id"]
        body = {"name": "one", "flow_id": flow, "work_pool_name": POOL, "concurrency_limit": 1, "entrypoint": "a.py:f"}
        self.deployment = self.call("POST", "/deployments/", body)["id"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.process._call(method, path, body)

    def run(self, *states: str, retries: int = 0) -> str:
        policy = {"retries": retries, "retry_delay": 600}
        run: str = self.call("POST", f"/deployments/{self.deployment}/create_flow_run", {"empirical_policy": policy})[
            "id"
        ]
        for state in states:
            answer = self.state(run, state)
            assert answer["status"] == "ACCEPT", answer
        return run

    def state(self, run: str, state: str, **more: Any) -> Any:
        body = {"state": {"name": state.capitalize(), "type": state, **more}}
        return self.call("POST", f"/flow_runs/{run}/set_state", body)

    def of(self, run: str) -> tuple[str, str]:
        state = self.call("GET", f"/flow_runs/{run}")["state"]
        return state["type"], state["message"] or ""

    def check(self, *pods: dict[str, Any], jobs: tuple[dict[str, Any], ...], times: int = 2) -> None:
        for _ in range(times):
            listing = self.kubernetes.client.list_jobs()
            list(listing)
            kept = [objects.flow_pod(pod) for pod in pods], [objects.job(each) for each in jobs]
            self.runs.reconcile(World.of(listing.now, *kept))
            self.time += 5


@pytest.fixture
def loop(prefect: Prefect) -> Loop:
    return Loop(prefect)


def test_a_run_pending_for_too_long_is_crashed_and_the_slot_of_its_deployment_is_free(loop: Loop) -> None:
    run = loop.run("PENDING")
    pod = flow_pod("Pending", run=run, status=waiting("ImagePullBackOff", "not checks"))
    other = loop.run()
    assert loop.state(other, "PENDING")["status"] != "ACCEPT", "the limit is one run"
    loop.check(pod, jobs=(job(run=run, age=61),))
    assert loop.of(run)[0] == "CRASHED"
    assert "the image cannot be pulled: image registry/flow@sha256:0: not checks" in loop.of(run)[1]
    assert loop.kubernetes.deleted() == ["jobs/job"]
    assert loop.state(other, "PENDING")["status"] == "ACCEPT"
    loop.state(other, "CRASHED")


def test_a_run_whose_pod_was_deleted_before_it_started_is_crashed_and_its_slot_is_free(loop: Loop) -> None:
    run = loop.run("PENDING")
    assert loop.state(run, "PENDING", name="InfrastructurePending")["status"] == "ACCEPT"
    other = loop.run()
    assert loop.state(other, "PENDING")["status"] != "ACCEPT", "the limit is one run"
    loop.check(jobs=(), times=6)
    assert loop.of(run)[0] == "PENDING"
    loop.check(jobs=(), times=2)
    assert loop.of(run) == ("CRASHED", "Its pod was deleted before the run started.")
    assert loop.state(other, "PENDING")["status"] == "ACCEPT"
    loop.state(other, "CRASHED")


def test_a_running_run_whose_pod_has_ended_is_crashed_and_one_that_lives_is_not(loop: Loop) -> None:
    lost = loop.run("PENDING", "RUNNING")
    loop.check(flow_pod("Running", run=lost), jobs=(job(run=lost),), times=4)
    assert loop.of(lost)[0] == "RUNNING"
    loop.check(flow_pod("Failed", run=lost, status=terminated(137, "OOMKilled")), jobs=(job("Failed", run=lost),))
    type_, message = loop.of(lost)
    assert type_ == "CRASHED"
    assert "OOMKilled" in message


def test_a_run_that_is_cancelled_while_pending_is_cancelled(loop: Loop) -> None:
    run = loop.run("PENDING")
    loop.state(run, "CANCELLING")
    loop.check(flow_pod("Pending", run=run), jobs=(job(run=run),))
    assert loop.of(run) == ("CANCELLED", "Cancelled before its pod started.")


def test_a_pod_that_is_lost_during_a_retry_delay_ends_its_run(loop: Loop) -> None:
    run = loop.run("PENDING", "RUNNING", retries=2)
    loop.state(run, "FAILED")
    assert loop.of(run)[0] == "SCHEDULED"
    loop.check(flow_pod("Running", run=run), jobs=(job(run=run),))
    assert loop.of(run)[0] == "SCHEDULED"
    loop.check(flow_pod("Failed", run=run, status=terminated(137)), jobs=(job("Failed", run=run),))
    assert loop.of(run)[0] == "CRASHED"
    loop.state(loop.run("PENDING"), "CANCELLED")


def test_prefect_by_itself_still_keeps_the_slot_of_a_run_that_ends_during_a_retry_delay(loop: Loop) -> None:
    run = loop.run("PENDING", "RUNNING", retries=2)
    loop.state(run, "FAILED")
    loop.state(run, "CRASHED")
    other = loop.run()
    assert loop.state(other, "PENDING")["status"] != "ACCEPT", "remove Prefect.release_place"
    loop.prefect.release_place(run)
    assert loop.state(other, "PENDING")["status"] == "ACCEPT"
    loop.state(other, "CANCELLED")


def test_a_pod_cannot_reschedule_a_run_that_was_crashed_and_a_person_can(loop: Loop) -> None:
    run = loop.run("PENDING", "RUNNING")
    loop.state(run, "CRASHED", message="by hand")
    live = {"jobs": (job(run=run),), "times": 1}
    loop.check(flow_pod("Running", run=run), **live)
    loop.state(run, "SCHEDULED", name="AwaitingRetry")
    assert loop.of(run)[0] == "SCHEDULED"
    loop.check(flow_pod("Running", run=run), **live)
    assert loop.of(run) == ("CRASHED", "by hand")
    loop.check(flow_pod("Running", run=run), **live)
    loop.state(run, "SCHEDULED", name="AwaitingRetry", message="Retry from the UI")
    loop.check(flow_pod("Running", run=run), **live)
    assert loop.of(run)[0] == "SCHEDULED"
    loop.state(run, "CANCELLED")


def test_what_prometheus_reads_is_what_the_server_has(loop: Loop) -> None:
    metrics = Metrics({POOL: Bounds(pending_timeout=60, crashed_after=300)})
    page = Exposition(metrics, loop.kubernetes.client, Prefect.of_environment(), clock=count(0, 60).__next__).page

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"ephemeral_dask_{name}", {"work_pool": POOL, **labels})

    page()
    assert value("worker_heartbeat_timestamp_seconds") == 0
    due = value("due_flow_runs") or 0
    run = loop.run("PENDING", "RUNNING")
    waiting_run = loop.run()
    loop.call("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "one"})
    page()
    assert value("flow_run_queue_seconds_count") == 1
    # The server's time is known to the second.
    assert until(lambda: bool(page()) and value("due_flow_runs") == due + 1, seconds=60, interval=0.5)
    assert abs((value("worker_heartbeat_timestamp_seconds") or 0) - time.time()) < 60
    loop.state(run, "CRASHED")
    page()
    page()
    assert value("flow_runs_ended_total", state="crashed") == 1
    assert value("flow_runs_ended_total", state="completed") == 0
    assert value("flow_run_queue_seconds_count") == 1
    assert metrics.registry.get_sample_value("ephemeral_dask_api_up", {"api": "prefect"}) == 1
    loop.state(waiting_run, "CANCELLED")


def test_the_metrics_of_the_server_itself_are_behind_its_password(server: str) -> None:
    assert httpx.get(f"{server}/metrics", trust_env=False).status_code == httpx.codes.UNAUTHORIZED
    user, _, password = AUTH.partition(":")
    answer = httpx.get(f"{server}/metrics", auth=(user, password), trust_env=False)
    assert "process_resident_memory_bytes" in answer.text


def test_a_lease_outlives_a_restart_of_a_server_with_sqlite(tmp_path: Path, make_prefect: Callable[[str], Any]) -> None:
    settings = {
        **QUIET,
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    limit = {"names": ["places"], "slots": 1, "mode": "concurrency", "lease_duration": 300}
    with scratch_prefect.running(tmp_path, "--no-services", settings=settings) as address:
        prefect = make_prefect(address)
        prefect.call("POST", "/v2/concurrency_limits/", {"name": "places", "limit": 2})
        lease = prefect.call("POST", "/v2/concurrency_limits/increment-with-lease", limit)["lease_id"]
    with scratch_prefect.running(tmp_path, "--no-services", settings=settings) as address:
        renewed = httpx.post(
            f"{address}/v2/concurrency_limits/leases/{lease}/renew", json={"lease_duration": 300}, trust_env=False
        )
        assert renewed.status_code == httpx.codes.NO_CONTENT, renewed.text
        prefect = make_prefect(address)
        assert prefect.limit("places")["active_slots"] == 1, "the slot is counted once"
    _leases_in_the_database(tmp_path)


SCRIPT = """
import asyncio, json
from datetime import timedelta
from uuid import uuid4
from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata, get_concurrency_lease_storage

async def main():
    limit, storage = uuid4(), get_concurrency_lease_storage()
    holder = {"type": "flow_run", "id": str(uuid4())}
    metadata = ConcurrencyLimitLeaseMetadata(slots=2, holder=holder)
    lease = await storage.create_lease([limit], timedelta(seconds=300), metadata)
    other = get_concurrency_lease_storage()
    checks = {"read": (await other.read_lease(lease.id)) == lease}
    checks["active"] = lease.id in await other.read_active_lease_ids()
    checks["holder"] = [str(who.id) for _, who in await other.list_holders_for_limit(limit)] == [holder["id"]]
    checks["renewed"] = await other.renew_lease(lease.id, timedelta(seconds=-1))
    checks["expired"] = await other.read_expired_lease_ids() == [lease.id]
    await other.revoke_lease(lease.id)
    checks["revoked"] = await other.read_lease(lease.id) is None and not await other.renew_lease(lease.id, timedelta(1))
    print(json.dumps(checks))

asyncio.run(main())
"""


def _leases_in_the_database(home: Path) -> None:
    """Leases of `ops.database_leases` are checks by another instance; the database is that of the stopped server."""
    environment = {
        **scratch_prefect.environment(home),
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "ops.database_leases",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, cwd=home
    )
    assert ran.returncode == 0, ran.stderr
    checks = json.loads(ran.stdout.splitlines()[-1])
    assert all(checks.values()), checks
