from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Self

import pytest
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.sorting import ArtifactSort
from prefect.filesystems import LocalFileSystem
from prefect.settings import PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings

from ephemeral_dask import artifacts
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.usage import Usage

RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000")
SETTINGS = DaskSettings.from_env({}, CodeSizes(minimum=1, maximum=6))
LOG = logging.getLogger("test.artifacts")


class Server:
    """Prefect's client, as far as artifacts go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.created: list[ArtifactCreate] = []
        self._error = error

    def __call__(self, *, sync_client: bool) -> Server:
        assert sync_client
        return self

    def __enter__(self) -> Self:
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None: ...

    def read_artifacts(self, *, artifact_filter: ArtifactFilter, sort: object, limit: int) -> list[ArtifactCreate]:
        assert (sort, limit) == (ArtifactSort.CREATED_DESC, 5)
        [key] = artifact_filter.key.any_ if artifact_filter.key and artifact_filter.key.any_ else [""]
        return [one for one in self.created if one.key == key]

    def create_artifact(self, artifact: ArtifactCreate) -> None:
        self.created.append(artifact)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    one = Server()
    monkeypatch.setattr(artifacts, "get_client", one)
    return one


def test_a_person_finds_the_dashboard_in_the_log_and_in_the_runs_artifacts(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    artifacts.dashboard(RUN, "http://127.0.0.1:8787/status", "http://etl-scheduler.flows:8787/status", LOG)
    [made] = server.created
    assert (made.key, str(made.flow_run_id)) == ("dask-dashboard", RUN.flow_run_id)
    assert "(http://127.0.0.1:8787/status)" in made.data
    for text in (caplog.text, str(made.description)):
        assert f"make dashboard RUN={RUN.flow_run_id}" in text
        assert "http://etl-scheduler.flows:8787/status" in text


def test_the_summary_tells_what_the_cluster_cost(server: Server) -> None:
    usage = Usage(seconds=61.2, peak=5, worker_seconds=180.4, tasks=60, again=2)
    artifacts.summary(RUN, SETTINGS, 4.25, usage, LOG)
    [made] = server.created
    for row in ("start | 4.2 s", "1 to 6, 5 at the peak", "worker-seconds | 180", "tasks | 60", "tasks run again | 2"):
        assert row in made.data


def test_the_summary_tells_which_clusters_were_lost_and_why(server: Server) -> None:
    artifacts.summary(RUN, SETTINGS, 1.0, Usage(seconds=1), LOG, losses=["etl-1: the pod was evicted: a|b"])
    assert "| clusters lost | 1; etl-1: the pod was evicted: a/b |" in server.created[0].data
    artifacts.summary(RUN, SETTINGS, 1.0, Usage(seconds=1), LOG)
    assert "clusters lost" not in server.created[1].data


def test_a_performance_report_is_kept_in_the_result_storage_and_named_in_the_summary(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Prefect's own asks the server whether it knows a better place, and would start one here.
    monkeypatch.setattr(
        artifacts, "get_default_result_storage", lambda *, _sync: LocalFileSystem(basepath=str(tmp_path))
    )
    usage = Usage(seconds=1, report="<html>plots</html>")
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        artifacts.summary(RUN, SETTINGS, 1.0, usage, LOG)
    [written] = tmp_path.rglob("*.html")
    assert written.read_text() == "<html>plots</html>"
    assert str(written.relative_to(tmp_path)) in server.created[0].data


def test_a_report_without_a_result_storage_is_not_lost_in_silence(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    artifacts.summary(RUN, SETTINGS, 1.0, Usage(seconds=1, report="<html/>"), LOG)
    assert "has no result storage" in caplog.text
    assert "performance report" not in server.created[0].data


def test_a_prefect_that_does_not_answer_never_fails_a_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(artifacts, "get_client", Server(OSError("connection refused")))
    artifacts.summary(RUN, SETTINGS, 1.0, Usage(seconds=1), LOG)
    assert "connection refused" in caplog.text


def test_outside_a_flow_run_nothing_is_created(server: Server) -> None:
    without_run: Any = RunIdentity(flow="unnamed", flow_run_id="0a1b2c3d")
    artifacts.summary(without_run, SETTINGS, 1.0, Usage(seconds=1), LOG)
    assert server.created == []


def test_the_last_runs_of_a_deployment_are_a_table_under_its_own_key(server: Server) -> None:
    for name in ("first", "second"):
        run = RunIdentity(flow="etl", flow_run_id=RUN.flow_run_id, flow_run_name=name)
        artifacts.summary(run, SETTINGS, 1.0, Usage(seconds=1), LOG, deployment="default")
    _, _, _, table = server.created
    assert (table.key, table.type, str(table.flow_run_id)) == ("dask-trend-etl-default", "table", RUN.flow_run_id)
    assert {row["run"] for row in json.loads(str(table.data))} == {"first", "second"}


def test_a_summary_that_cannot_be_made_never_fails_a_run(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    nonsense: Any = None
    artifacts.summary(RUN, nonsense, 1.0, Usage(seconds=1), LOG)
    assert server.created == []
    assert "could not be made" in caplog.text
