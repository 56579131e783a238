"""Task results in an S3 server, as docs/data.md sets it up: Dask workers write them, the next attempt reads them."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ephemeral_dask.pod_context import PodContext
from infra import job_template, validation
from infra.job_template import JobTemplateArgs
from infra.prefect_yaml.load import load_deployments
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from tests import howtos
from tests.engine.conftest import Prefect
from tests.support import flow_pod, s3_server
from tests.support.s3_server import BUCKET, S3
from tools import locked_environment
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("object-store")

PAGE: Final = (ROOT / "docs" / "data.md").read_text().partition("\n## An S3 bucket\n")[2].partition("\n## ")[0]
FLOW: Final = '''
    """A flow whose first attempt fails after its tasks."""
    import os
    from pathlib import Path

    from prefect import flow, task

    from ephemeral_dask import ephemeral_dask

    @task
    def square(number: int, log: str) -> int:
        with Path(log).open("a") as lines:
            lines.write(f"{os.getpid()}\\n")
        return number * number

    @flow(task_runner=ephemeral_dask(maximum=1))
    def squares(log: str) -> int:
        total = sum(square.map([1, 2, 3], log=log).result())
        with Path(log).open("a") as lines:
            lines.write(f"flow {os.getpid()}\\n")
        if Path(log).read_text().count("flow") == 1:
            raise ConnectionError("the first attempt fails")
        return total
'''
PREFECT_YAML: Final = """
pull: []
deployments:
  - {name: default, entrypoint: flows.squares.squares, work_pool: {name: stored}}
"""


@dataclass(frozen=True)
class Project:
    """A folder that stands for the flow image's, with what a flow pod has in its environment."""

    folder: Path
    environment: Mapping[str, str]
    prefect: Prefect

    def python(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(locked_environment.programs("data") / "python"), *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def execute(self, run: str) -> Mapping[str, Any]:
        """Run a flow run as a flow pod does, in a process of its own, and return its state."""
        python = locked_environment.programs("data") / "python"
        ended = flow_pod.execute(run, folder=self.folder, environment=self.environment, python=python, timeout=240)
        print(ended.stdout[-4000:], ended.stderr[-4000:])
        state: Mapping[str, Any] = self.prefect.call("GET", f"/flow_runs/{run}")["state"]
        return state


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        server.create(BUCKET)
        yield server


def variables_of_pods(url: str) -> dict[str, str]:
    """Return what the page's stack file gives to flow pods, with the address of a server and keys as in its Secret."""
    [config, *_] = [yaml.safe_load(text)["config"] for text in howtos.fenced(PAGE, "yaml")]
    values = {key.removeprefix("ephemeral-dask:"): value for key, value in config.items()}
    settings = validation.load_settings(values, stack="dev")
    template = job_template.build(JobTemplateArgs.of(settings, "dask", image="i@sha256:1", credential={}))
    container = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0]
    names = {each["name"] for each in container["env"] if "secretKeyRef" in each["valueFrom"]}
    assert names == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    plain = {name: str(value) for name, value in template["job_configuration"]["env"].items()}
    stores = {name: value for name, value in plain.items() if name.startswith(("PREFECT_RESULTS", "PREFECT_DEFAULT_R"))}
    context = PodContext.from_env({**plain, "EPHEMERAL_DASK_ENV": ""})
    assert context is not None
    assert context.passed_on.items() >= stores.items()
    assert set(context.pods.worker.secret_env) == names
    return {
        **stores,
        **{name: value for name, value in context.pods.worker.env.items() if name.startswith("AWS_")},
        **dict.fromkeys(names, "of-the-tests"),
        "AWS_ENDPOINT_URL": url,
    }


@pytest.fixture(scope="module")
def project(s3: S3, prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder, prefect = tmp_path_factory.mktemp("app"), Prefect(prefect_server)
    (folder / "flows").mkdir()
    (folder / "flows" / "__init__.py").touch()
    (folder / "flows" / "squares.py").write_text(textwrap.dedent(FLOW))
    (folder / "prefect.yaml").write_text(PREFECT_YAML)
    home = str(tmp_path_factory.mktemp("home"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **variables_of_pods(s3.url),
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "127.0.0.1",
        "PREFECT_API_URL": prefect_server,
        **dict.fromkeys(("PREFECT_HOME", "HOME", "TMPDIR"), home),
    }
    prefect.call("POST", "/work_pools/", {"name": "stored", "type": "process"})
    [spec] = load_deployments(folder / "prefect.yaml", environment={})
    args = DeploymentArgs(endpoint=Url(url=prefect_server), spec=spec, work_pool_name="stored")
    DeploymentProvider().create({**inputs(args, "project/stack/resource"), "work_pool_name": "stored"})
    yield Project(folder, environment, prefect)
    prefect.call("DELETE", "/work_pools/stored")


def test_results_of_dask_workers_are_in_the_bucket_and_the_next_attempt_reads_them(
    project: Project, s3: S3, tmp_path: Path
) -> None:
    [script] = re.findall(r"<<'END'\n(.*?)\nEND\n", PAGE, re.DOTALL)
    saved = project.python("-", stdin=script)
    assert saved.returncode == 0, saved.stderr
    log = tmp_path / "log"
    deployment = project.prefect.deployment("squares", "default")
    body = {"parameters": {"log": str(log)}}
    run = project.prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]

    assert project.execute(run)["type"] == "FAILED"
    workers, flows = pids(log)
    assert len(workers) == 3
    assert not set(workers) & set(flows), "the tasks ran in the flow's own process"
    first = s3.keys(BUCKET)
    assert len(first) == 4, "three tasks, and the exception of the flow"
    assert all(key.startswith("results/") for key in first)

    again = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    project.prefect.call("POST", f"/flow_runs/{run}/set_state", again)
    assert project.execute(run)["type"] == "COMPLETED"
    workers, flows = pids(log)
    assert len(workers) == 3, "a task ran again"
    assert len(set(flows)) == 2
    assert set(s3.keys(BUCKET)) > set(first), "the flow's own result is not in the bucket"


def test_a_run_whose_block_does_not_exist_ends_and_names_it(project: Project, tmp_path: Path) -> None:
    block = {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "s3-bucket/missing-block"}
    other = replace(project, environment={**project.environment, **block})
    deployment = project.prefect.deployment("squares", "default")
    body = {"parameters": {"log": str(tmp_path / "log")}}
    run = project.prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]
    state = other.execute(run)
    assert state["type"] in ("FAILED", "CRASHED")
    lines = project.prefect.call("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
    assert "missing-block" in "\n".join([str(state["message"]), *(line["message"] for line in lines)])


def pids(log: Path) -> tuple[list[str], list[str]]:
    """Return the processes of all tasks that ran, and of all attempts of the flow."""
    lines = log.read_text().splitlines()
    return [line for line in lines if "flow" not in line], [line[5:] for line in lines if "flow" in line]
