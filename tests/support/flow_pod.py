"""Flow runs in processes of this machine that stand for a flow pod and the Dask pods of one image."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ephemeral_dask.contract.environment import PLUGIN
from infra.prefect_yaml.load import load_deployments
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from tests.support import scratch_prefect
from tools.paths import ROOT

TIMEOUT = 180.0
"""Seconds for a run on a busy machine."""


def command(run: str, python: str | Path = sys.executable) -> list[str]:
    """Return the command of a flow pod.

    Args:
        run: its id.
        python: interpreter with the packages of the flow image.

    """
    return [str(python), "-m", "prefect", "flow-run", "execute", run]


def execute(
    run: str,
    *,
    folder: Path,
    environment: Mapping[str, str],
    python: str | Path = sys.executable,
    timeout: float = TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    """Run a flow run with the command of a flow pod.

    Args:
        run: its id.
        folder: the working directory.
        environment: the whole one of the process.
        python: interpreter with the packages of the flow image.
        timeout: seconds.

    """
    return subprocess.run(
        command(run, python),
        cwd=folder,
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@dataclass(frozen=True)
class FlowPod:
    """What the processes of a run have.

    Attributes:
        prefect_url: of the Prefect server's API.
        folder: the working directory, such as the image's `/app`.
        environment: of all processes.

    """

    prefect_url: str
    folder: Path
    environment: Mapping[str, str]

    def execute(self, flow: str, deployment: str, parameters: Mapping[str, Any] | None = None) -> Ended:
        """Create a run of a deployment, and execute it as the command of a flow pod does."""
        run = self.create(flow, deployment, parameters)
        ended = execute(run, folder=self.folder, environment=self.environment)
        return self.ended(run, f"{ended.stdout[-4000:]}{ended.stderr[-4000:]}")

    def create(self, flow: str, deployment: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Create a run of a deployment, which nothing starts, and return its id."""
        with scratch_prefect.client(self.prefect_url) as prefect:
            target = prefect.get(f"/deployments/name/{flow}/{deployment}").raise_for_status().json()
            body = {"parameters": dict(parameters or {})}
            run = prefect.post(f"/deployments/{target['id']}/create_flow_run", json=body).raise_for_status().json()
        return str(run["id"])

    def ended(self, run: str, output: str) -> Ended:
        """Return what has become of a run, with the output of its pod."""
        with scratch_prefect.client(self.prefect_url) as prefect:
            state = prefect.get(f"/flow_runs/{run}").raise_for_status().json()["state"]
            ids = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
            logs = prefect.post("/logs/filter", json=ids).raise_for_status().json()
        return Ended(state, output, tuple(each["message"] for each in logs))


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    Attributes:
        state: as Prefect has it.
        output: of the pod, its end.
        logs: messages in Prefect's log of the run.

    """

    state: Mapping[str, Any]
    output: str = field(repr=False)
    logs: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        """Return what a failed assertion shows."""
        return f"{self.state['type']}: {self.state['message']}\n{self.output}"


def environment(home: Path, prefect_url: str, *python_path: Path) -> dict[str, str]:
    """Return the environment of a run's processes, which write to one folder only and have the package's plugin."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (*python_path, _installed(home / "site")))),
        "PREFECT_PLUGINS_ENABLED": "true",
        "PREFECT_PLUGINS_ALLOW": PLUGIN,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PREFECT_API_URL": prefect_url,
        "PREFECT_HOME": str(home),
        "HOME": str(home),
        "TMPDIR": str(home),
    }


def _installed(folder: Path) -> Path:
    """Make a folder that says, as the image's packages do, which plugins the package has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = folder / f"ephemeral_dask-{project['version']}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {module}" for name, module in entries.items())])
        for group, entries in project["entry-points"].items()
    )
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    return folder


def write(folder: Path, files: Mapping[str, str], **replacements: str) -> None:
    """Write a project: path -> indented text, in which words are replaced."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content = textwrap.dedent(text)
        for word, value in replacements.items():
            content = content.replace(word, value)
        file.write_text(content)


@contextmanager
def dask_pods(port: int, home: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Start a Dask scheduler on a port of the loopback interface and one worker, each in a process of its own."""
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    worker = ["worker", f"tcp://127.0.0.1:{port}", "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=home, env=dict(variables), stderr=subprocess.DEVNULL
        )
        for words in (scheduler, worker)
    ]
    try:
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
            # One that has just started may need more on a busy machine.
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


@contextmanager
def registered(file: Path, pool: str, prefect_url: str) -> Iterator[None]:
    """Register the deployments of a `prefect.yaml` in a work pool of their own, as a stack does, and delete them."""
    made: list[str] = []
    with scratch_prefect.client(prefect_url) as prefect:
        prefect.post("/work_pools/", json={"name": pool, "type": "process"}).raise_for_status()
        for spec in load_deployments(file, environment={}):
            args = DeploymentArgs(endpoint=Url(url=prefect_url), spec=spec, work_pool_name=pool)
            done = DeploymentProvider().create({**inputs(args, "project/stack/resource"), "work_pool_name": pool})
            made.append((done.outs or {})["deployment_id"])
        yield
        for deployment in made:
            prefect.delete(f"/deployments/{deployment}").raise_for_status()
        prefect.delete(f"/work_pools/{pool}").raise_for_status()
