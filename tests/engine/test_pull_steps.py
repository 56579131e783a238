"""Flows whose code is fetched when a run starts, run as in a flow pod, with Dask workers that do not have that code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.prefect_yaml.load import load_deployments
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from tests.engine.conftest import Prefect
from tests.support.scratch_prefect import free_port
from tools.paths import ROOT

FILES = {
    "flows/__init__.py": "",
    "flows/helper.py": "RATE = 3",
    "flows/rates.csv": "3",
    "flows/shape.py": """
        class Row:
            def __init__(self, number: int) -> None:
                self.number = number
    """,
    "flows/daily.py": '''
        """A flow that only the repository has, with a class of its own and one of a file beside it."""
        from dataclasses import dataclass
        from pathlib import Path

        from distributed import Client
        from prefect import flow, task
        from prefect_dask import DaskTaskRunner

        from ephemeral_dask import pulled_code

        from .shape import Row

        @dataclass(frozen=True)
        class Total:
            amount: int

        @task
        def total(row: Row) -> Total:
            from flows.helper import RATE

            assert int((Path(__file__).parent / "rates.csv").read_text()) == RATE
            return Total(row.number * RATE)

        @flow(task_runner=DaskTaskRunner(address="ADDRESS"))
        def daily() -> None:
            with Client("ADDRESS") as client:  # what RunCluster does when the run's own cluster has started
                client.sync(pulled_code.share, client.scheduler, pulled_code.current())
            made = total.submit(Row(2)).result()
            assert type(made) is Total and made.amount == 6, made
    ''',
}
PREFECT_YAML = """
pull:
  - prefect.deployments.steps.git_clone:
      repository: REPOSITORY
deployments:
  - {name: by-file, entrypoint: "flows/daily.py:daily", work_pool: {name: pulled}}
  - {name: by-module, entrypoint: flows.daily.daily, work_pool: {name: pulled}}
  - name: unreachable
    entrypoint: flows/daily.py:daily
    work_pool: {name: pulled}
    pull:
      - prefect.deployments.steps.git_clone:
          repository: file:///nonexistent/repository
"""


@dataclass(frozen=True)
class Project:
    """What `execute` needs: an empty folder that stands for the image's, and the environment of its processes."""

    prefect: Prefect
    image: Path
    environment: Mapping[str, str]

    def execute(self, name: str) -> tuple[Mapping[str, Any], str]:
        """Run a deployment of the flow as a flow pod does; return its state, and its log."""
        deployment = self.prefect.deployment("daily", name)
        run = self.prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", {})
        ended = subprocess.run(
            [sys.executable, "-m", "prefect", "flow-run", "execute", run["id"]],
            cwd=self.image,
            env=dict(self.environment),
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )
        state: Mapping[str, Any] = self.prefect.call("GET", f"/flow_runs/{run['id']}")["state"]
        return state, f"{ended.stdout[-4000:]}{ended.stderr[-4000:]}"


def repository(folder: Path, address: str) -> Path:
    """Make a Git repository with the flow."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).replace("ADDRESS", address))
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "flow")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[Project]:
    """Start a Dask scheduler and a worker without the code, and register the deployments as the stack does."""
    assert shutil.which("git"), "pull steps need git, here as in the flow image"
    home, image, port = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("image"), free_port()
    address = f"tcp://127.0.0.1:{port}"
    source = repository(tmp_path_factory.mktemp("repository"), address)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(home),
        "HOME": str(home),
        "TMPDIR": str(home),
    }
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    worker = ["worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=home, env=environment, stderr=subprocess.DEVNULL)
        for words in (scheduler, worker)
    ]
    prefect = Prefect(prefect_server)
    prefect.call("POST", "/work_pools/", {"name": "pulled", "type": "process"})
    (source / "prefect.yaml").write_text(PREFECT_YAML.replace("REPOSITORY", json.dumps(f"file://{source}")))
    for spec in load_deployments(source / "prefect.yaml", environment={}):
        args = DeploymentArgs(endpoint=Url(url=prefect_server), spec=spec, work_pool_name="pulled")
        DeploymentProvider().create({**inputs(args, "project/stack/resource"), "work_pool_name": "pulled"})
    yield Project(prefect, image, environment)
    prefect.call("DELETE", "/work_pools/pulled")
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("name", ["by-file", "by-module"])
def test_pulled_code_reaches_scheduler_and_workers(name: str, project: Project) -> None:
    state, log = project.execute(name)
    assert state["type"] == "COMPLETED", f"{state['message']}\n{log}"


def test_a_run_whose_pull_step_fails_ends_and_names_the_repository_in_its_log(project: Project) -> None:
    state, log = project.execute("unreachable")
    assert state["type"] == "CRASHED", log
    assert "Failed to clone repository 'file:///nonexistent/repository'" in log
