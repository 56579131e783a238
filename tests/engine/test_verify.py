"""`make verify` on a real Prefect server: good and bad runs, a server and a worker that are gone, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from ephemeral_dask.contract import verification
from infra import settings
from infra.settings import Settings
from tests.engine.conftest import Prefect
from tests.support.scratch_prefect import free_port
from tools.verify import flow_run, registered
from tools.verify import prefect as checks
from tools.verify.flow_run import Verification
from tools.verify.objects import RunObjects
from tools.verify.report import Row, Verdict
from tools.verify.verbs import runs

POOL = "verified"


@pytest.fixture(name="stack_settings")
def settings_of_a_stack() -> Settings:
    image = {"builder": "docker-build", "registry": "r"}
    return settings.parse({"image": image, "workPools": {POOL: {}}}, stack="dev")


@pytest.fixture
def client(prefect_server: str, prefect: Prefect) -> Iterator[SyncPrefectClient]:
    """Provide a client of the server with a work pool, and see that nothing of a verification stays."""
    prefect.call("POST", "/work_pools/", {"name": POOL, "type": "kubernetes", "concurrency_limit": 1})
    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as api:
        yield api
        registered.delete_earlier(api, "dev")
    prefect.call("DELETE", f"/work_pools/{POOL}")


class Objects:
    """What Kubernetes has of the run."""

    def __init__(self, *left: str, cluster: dict[str, Any] | None = None) -> None:
        self.left, self.of_run = list(left), cluster

    def cluster(self, _: UUID) -> dict[str, Any] | None:
        return self.of_run

    def names(self, _: UUID) -> list[str]:
        return self.left


class Clock:
    """A clock that the test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


class Scenario:
    """A verification that was created."""

    def __init__(self, client: SyncPrefectClient, prefect: Prefect, objects: Objects) -> None:
        self.prefect, self.clock = prefect, Clock()
        self.created = registered.register(client, pool=POOL, stack="dev")
        self.verification = Verification(
            client,
            cast(RunObjects, objects),
            client.read_work_pool(POOL),
            self.created,
            deadline=600,
            stack="dev",
            clock=self.clock,
        )

    def state(self, *types: str, message: str = "") -> None:
        for each in types:
            body = {"state": {"type": each, "name": each.capitalize(), "message": message}, "force": True}
            self.prefect.call("POST", f"/flow_runs/{self.created.run.id}/set_state", body)

    def is_over_at(self, seconds: float) -> bool:
        self.clock.time = seconds
        return self.verification.is_over()

    def rows(self) -> list[Row]:
        return list(self.verification.rows())


def left_in(prefect: Prefect) -> list[Any]:
    flows = {"flows": {"name": {"any_": [verification.FLOW]}}}
    return [prefect.call("POST", f"/{kind}/filter", flows) for kind in ("flows", "deployments", "flow_runs")]


def test_a_run_that_completes_passes_and_leaves_nothing_in_prefect(client: SyncPrefectClient, prefect: Prefect) -> None:
    scenario = Scenario(client, prefect, Objects(cluster={"metadata": {"name": "c"}, "status": {"phase": "Running"}}))
    deployment = prefect.call("GET", f"/deployments/{scenario.created.deployment}")
    assert deployment["entrypoint"] == verification.ENTRYPOINT
    run = str(scenario.created.run.id)
    prefect.call("POST", "/artifacts/", {"key": "dask-summary", "type": "markdown", "data": "x", "flow_run_id": run})
    scenario.state("PENDING", "RUNNING")
    assert not scenario.is_over_at(20)
    scenario.state("COMPLETED")
    assert scenario.is_over_at(30)
    operator, outcome = scenario.rows()
    assert (operator.check, operator.verdict) == ("Dask operator, in pool verified", Verdict.OK)
    assert (outcome.verdict, outcome.detail) == (Verdict.OK, "4 tasks on Dask, after 30 s")
    assert scenario.verification.clean_up().verdict is Verdict.OK
    assert left_in(prefect) == [[], [], []]
    assert prefect.call("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}}) == []


def test_a_run_that_fails_names_the_cause_and_stays_until_the_next_verification(
    client: SyncPrefectClient, prefect: Prefect
) -> None:
    scenario = Scenario(client, prefect, Objects())
    scenario.state("PENDING")
    scenario.state("CRASHED", message="Its pod did not start within 600 s: the image cannot be pulled")
    run = str(scenario.created.run.id)
    log = {"name": "prefect.flow_runs", "level": 40, "timestamp": "2026-01-01T00:00:00Z", "flow_run_id": run}
    prefect.call("POST", "/logs/", [{**log, "message": "Traceback:\n  line\nModuleNotFoundError: No module"}])
    assert scenario.is_over_at(10)
    operator, row = scenario.rows()
    assert (operator.verdict, row.verdict) == (Verdict.UNKNOWN, Verdict.FAILED)
    assert row.detail.startswith("Crashed: Its pod did not start within 600 s: the image cannot be pulled")
    assert row.detail.endswith(": ModuleNotFoundError: No module")
    assert f"make logs RUN={scenario.created.run.name}" in row.remedy
    assert "stays in Prefect" in scenario.verification.clean_up().detail
    registered.delete_earlier(client, "another-stack")
    assert len(left_in(prefect)[2]) == 1
    registered.delete_earlier(client, "dev")
    assert left_in(prefect) == [[], [], []]


def test_a_run_that_no_worker_takes_is_cancelled(client: SyncPrefectClient, prefect: Prefect) -> None:
    scenario = Scenario(client, prefect, Objects())
    assert not scenario.is_over_at(flow_run.TAKEN_WITHIN - 1)
    assert scenario.is_over_at(flow_run.TAKEN_WITHIN + 1)
    assert scenario.rows()[1].detail == "no worker has taken it within 90 s"
    scenario.verification.clean_up()
    assert prefect.call("GET", f"/flow_runs/{scenario.created.run.id}")["state_type"] == "CANCELLED"


def test_a_full_work_pool_differs_from_a_worker_that_does_not_poll(client: SyncPrefectClient, prefect: Prefect) -> None:
    other = Scenario(client, prefect, Objects())
    other.state("PENDING", "RUNNING")
    scenario = Scenario(client, prefect, Objects())
    assert scenario.is_over_at(flow_run.TAKEN_WITHIN + 1)
    assert "all 1 slots of the work pool are taken" in scenario.rows()[1].detail
    other.state("COMPLETED")
    scenario.verification.clean_up()


def test_an_operator_that_does_not_react_is_named(client: SyncPrefectClient, prefect: Prefect) -> None:
    scenario = Scenario(client, prefect, Objects(cluster={"metadata": {"name": "verify-1"}}))
    scenario.state("PENDING", "RUNNING")
    assert not scenario.is_over_at(5)
    assert scenario.is_over_at(6 + flow_run.REACTS_WITHIN)
    operator, outcome = scenario.rows()
    assert operator.verdict is Verdict.FAILED
    assert "it has not handled DaskCluster verify-1 for 31 s" in operator.detail
    assert outcome.detail == "the Dask operator does not react, so the run was cancelled"
    scenario.state("CANCELLED")


def test_objects_that_stay_in_kubernetes_fail_the_clean_up(
    client: SyncPrefectClient, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_run, "GONE_WITHIN", -1.0)
    scenario = Scenario(client, prefect, Objects("daskclusters/verify-1"))
    scenario.state("COMPLETED")
    assert scenario.is_over_at(10)
    row = scenario.verification.clean_up()
    assert row.verdict is Verdict.FAILED
    assert "daskclusters/verify-1" in row.detail


def test_an_interruption_cancels_the_run_and_cleans_up(
    client: SyncPrefectClient, prefect: Prefect, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Verification) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Verification, "is_over", interrupt)
    pool = client.read_work_pool(POOL)
    with pytest.raises(KeyboardInterrupt):
        runs(client, cast(RunObjects, Objects()), [pool], stack_settings, stack="dev")
    [run] = left_in(prefect)[2]
    assert run["state_type"] == "CANCELLED"


def test_a_worker_that_is_gone_is_named(
    client: SyncPrefectClient, prefect: Prefect, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row() -> Row:
        [(_, only)] = checks.workers(client, stack_settings, stack="dev")
        return only

    assert row().detail == "no worker has ever sent a heartbeat"
    assert "logs deployment/prefect-worker-verified" in row().remedy
    prefect.call("POST", f"/work_pools/{POOL}/workers/heartbeat", {"name": "w", "heartbeat_interval_seconds": 30})
    assert row().verdict is Verdict.OK
    monkeypatch.setattr(checks, "SILENT_AFTER", -1.0)
    assert row().detail.startswith("its last heartbeat was ")
    prefect.call("PATCH", f"/work_pools/{POOL}", {"is_paused": True})
    assert row().detail == "the work pool is paused"


def test_a_work_pool_that_was_deleted_is_named(prefect_server: str, stack_settings: Settings) -> None:
    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as api:
        [(pool, row)] = checks.workers(api, stack_settings, stack="dev")
    assert pool is None
    assert row.detail == "Prefect has no such work pool"


def test_a_server_that_answers_passes_and_one_that_is_gone_is_named(
    client: SyncPrefectClient, stack_settings: Settings
) -> None:
    answer = checks.api(client, stack_settings, stack="dev")
    assert (answer.verdict, "its database answers" in answer.detail) == (Verdict.OK, True)
    gone = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(gone), get_client(sync_client=True) as api:
        row = checks.api(api, stack_settings, stack="dev")
    assert row.verdict is Verdict.FAILED
    assert "the API does not answer" in row.detail


def test_a_refused_credential_differs_from_a_database_that_does_not_answer(stack_settings: Settings) -> None:
    def row(status: int) -> Row:
        def refuse(*_: object) -> None:
            request = httpx.Request("GET", "http://server/api/ready")
            response = httpx.Response(status, text="Database is not available", request=request)
            raise httpx.HTTPStatusError("refused", request=request, response=response)

        class Refusing:
            request = staticmethod(refuse)

        return checks.api(cast(SyncPrefectClient, Refusing()), stack_settings, stack="dev")

    assert "refuses the credential" in row(401).detail
    assert "/api/ready answers HTTP 503: Database is not available" in row(503).detail
