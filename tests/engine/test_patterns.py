"""tests/project/flows/patterns.py on this machine, each attempt in a process of its own as in a flow pod."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from infra.prefect_yaml.load import load_deployments
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from tests.engine.conftest import Prefect
from tests.support import flow_pod
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("patterns")

PROJECT: Final = ROOT / "tests" / "project"
RESULTS: Final = {"retried": 10, "asynchronous": 6, "collection": 1.0}
"""Flow -> what it returns with its own parameters, or with those that a test gives."""


@dataclass(frozen=True)
class Project:
    """A copy of the tests' own flows, which stands for the flow image."""

    folder: Path
    environment: Mapping[str, str]
    prefect: Prefect

    def create(self, flow: str, **parameters: Any) -> str:
        """Create a run of a deployment and return its id."""
        deployment = self.prefect.deployment(flow, "default")
        body = {"parameters": parameters}
        return str(self.prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"])

    def execute(self, run: str) -> Mapping[str, Any]:
        """Run a flow run as a flow pod does, and return its state."""
        ended = flow_pod.execute(run, folder=self.folder, environment=self.environment, timeout=240)
        print(ended.stdout[-4000:], ended.stderr[-4000:])
        state: Mapping[str, Any] = self.prefect.call("GET", f"/flow_runs/{run}")["state"]
        return state

    def result(self, run: str) -> Any:
        """Return what a run's flow has shown as its result."""
        body = {"artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": ["flow-result"]}}}
        shown = self.prefect.call("POST", "/artifacts/filter", body)
        return json.loads(shown[0]["data"].removeprefix("```json").removesuffix("```")) if shown else None

    def logged(self, run: str) -> str:
        """Return the log of a run."""
        lines = self.prefect.call("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        return "\n".join(line["message"] for line in lines)


@pytest.fixture(scope="module")
def project(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder, home, prefect = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("home"), Prefect(prefect_server)
    shutil.copytree(PROJECT / "flows", folder / "flows")
    shutil.copyfile(PROJECT / "prefect.yaml", folder / "prefect.yaml")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PREFECT_API_URL": prefect_server,
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
        **dict.fromkeys(("PREFECT_HOME", "HOME", "TMPDIR"), str(home)),
    }
    prefect.call("POST", "/work_pools/", {"name": "patterns", "type": "process"})
    declared = load_deployments(folder / "prefect.yaml", environment={})
    specs = [spec for spec in declared if spec.entrypoint.startswith("flows.patterns.")]
    for spec in specs:
        args = DeploymentArgs(endpoint=Url(url=prefect_server), spec=spec, work_pool_name="patterns")
        DeploymentProvider().create({**inputs(args, "project/stack/resource"), "work_pool_name": "patterns"})
    yield Project(folder, environment, prefect)
    # Other modules use the same server, and compare all of its deployments.
    for spec in specs:
        prefect.call("DELETE", f"/deployments/{prefect.deployment(spec.flow_name, spec.name)['id']}")
    prefect.call("DELETE", "/work_pools/patterns")


@pytest.mark.parametrize("flow", RESULTS)
def test_retries_subflows_async_tasks_and_dask_collections_work_on_a_laptop(flow: str, project: Project) -> None:
    run = project.create(flow, **({"rows": 1000} if flow == "collection" else {}))
    state = project.execute(run)
    assert state["type"] == "COMPLETED", state["message"]
    assert project.result(run) == RESULTS[flow]


def test_a_suspended_run_ends_its_process_and_continues_in_another_one_with_its_results(project: Project) -> None:
    run = project.create("approved")
    state = project.execute(run)
    assert (state["type"], state["name"]) == ("PAUSED", "Suspended")
    project.prefect.call("POST", f"/flow_runs/{run}/resume", {})
    state = project.execute(run)
    assert state["type"] == "COMPLETED", state["message"]
    assert project.result(run) == 10
    assert project.logged(run).count("Before the suspension") == 4
