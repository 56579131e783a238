"""Each workaround in ephemeral_dask/upstream.py must still be needed: a test that fails here says what to delete."""

from __future__ import annotations

import asyncio
import getpass
import inspect
import os
import shutil
import sys
import tracemalloc
from importlib.metadata import entry_points, version
from pathlib import Path

import dask.config
import distributed
import httpx
import pytest
import yaml
from dask_kubernetes.operator.controller import controller
from dask_kubernetes.operator.kubecluster import kubecluster
from prefect.utilities.hashing import hash_objects

from ephemeral_dask import upstream


def console_scripts() -> set[str]:
    return {script.name for script in entry_points(group="console_scripts")}


def test_dask_kubernetes_still_writes_commands_that_distributed_no_longer_has() -> None:
    spec = kubecluster.make_cluster_spec(name="x")["spec"]
    written = {spec[role]["spec"]["containers"][0]["args"][0] for role in ("scheduler", "worker")}
    assert written == {"dask-scheduler", "dask-worker"}
    assert written.isdisjoint(console_scripts())


@pytest.mark.parametrize("command", [upstream.SCHEDULER_COMMAND, upstream.WORKER_COMMAND])
def test_the_commands_that_we_write_exist(command: tuple[str, ...]) -> None:
    assert command[0] in console_scripts()
    assert shutil.which(command[0], path=Path(sys.executable).parent)
    assert command[1] in {each.name for each in entry_points(group="dask_cli")}


def test_the_scheduler_still_does_not_serve_by_itself_the_api_that_the_operator_asks() -> None:
    defaults = yaml.safe_load(Path(distributed.__file__).with_name("distributed.yaml").read_text())
    routes = defaults["distributed"]["scheduler"]["http"]["routes"]
    assert "distributed.http.scheduler.api" not in routes
    assert set(upstream.HTTP_ROUTES) == {*routes, "distributed.http.scheduler.api"}


def test_two_handlers_of_the_operator_still_write_the_phase_at_the_same_time() -> None:
    assert 'patch.status["phase"] = "Pending"' in inspect.getsource(controller.daskcluster_create_components)
    assert "phase" in inspect.getsource(controller.handle_scheduler_service_status)


def test_the_operator_still_forgets_the_worker_group_once_the_phase_has_moved_on() -> None:
    source = inspect.getsource(controller)
    handler = source.index("async def daskcluster_create_components")
    assert 'field="status.phase", new="Created"' in source[handler - 200 : handler]


def test_kubecluster_still_asks_for_a_user_name() -> None:
    assert "getpass.getuser()" in inspect.getsource(kubecluster.KubeCluster.__init__)


def test_the_operator_still_hard_codes_the_cluster_domain() -> None:
    assert "svc.cluster.local" in inspect.getsource(controller.build_worker_deployment_spec)


def test_the_faults_are_known_for_these_releases_only() -> None:
    assert (version("dask-kubernetes"), version("distributed")) == ("2026.3.0", "2026.8.0")


def test_a_process_without_a_user_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown_user(_uid: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown_user)
    upstream.ensure_user_name()
    assert getpass.getuser() == os.environ["USER"]


def test_a_process_with_a_user_name_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "someone")
    upstream.ensure_user_name()
    assert os.environ["USER"] == "someone"


def test_dask_reads_our_routes_as_a_list_and_a_scheduler_starts_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(upstream.HTTP_ROUTES_VARIABLE, upstream.http_routes_value())
    read = dask.config.collect_env()["distributed"]["scheduler"]["http"]["routes"]
    assert tuple(read) == upstream.HTTP_ROUTES

    async def target() -> int:
        with dask.config.set({"distributed.scheduler.http.routes": read}):
            async with distributed.Scheduler(port=0, dashboard_address="127.0.0.1:0") as scheduler:
                port = scheduler.services["dashboard"].port
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"http://127.0.0.1:{port}/api/v1/adaptive_target")).status_code

    assert asyncio.run(target()) == 200


def test_prefect_still_takes_many_times_the_size_of_bytes_to_hash_a_task_input() -> None:
    value = bytes(10**6)
    tracemalloc.start()
    try:
        hash_objects({"value": value})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak > 4 * len(value), "docs/upstream/prefect-input-hash.md and the advice in docs/flows.md can go"
