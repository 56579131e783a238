"""A project with many deployments, on a control plane without nodes, and an empty program beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from benchmarks.usage import Usage, measure
from tests.support import scratch_prefect
from tools.paths import PROJECT, ROOT
from tools.target import PREVIEW_LIKE_UPDATE
from tools.toolchain import automatic_logs

STACK: Final = "dev"
NAMESPACE: Final = "flows"
"""Of the platform, as Pulumi.dev.yaml has it."""

_CODE: Final = ("ephemeral_dask", "flows", "infra", "ops", "requirements", "tools")
_FILES: Final = ("Pulumi.yaml", "__main__.py", "Dockerfile", "Dockerfile.platform")
_IMAGES: Final = {
    "builder": "prebuilt",
    "flow": f"registry.example.com/flow@sha256:{'a' * 64}",
    "platform": f"registry.example.com/platform@sha256:{'b' * 64}",
}
_PER_MODULE: Final = 3
"""Deployments that share a flow."""

_FLOW: Final = '''
from ephemeral_dask import ephemeral_dask
from prefect import flow, task


@task
def row(day: str, number: int) -> int: ...


@flow(task_runner=ephemeral_dask())
def report(day: str = "today", top: int = 10, names: list[str] | None = None):
    """Write a report.

    Args:
        day: Which one.
        top: How many.
        names: Whose.

    """
'''


@dataclass(frozen=True)
class Project:
    """A folder with a Pulumi program and a stack.

    Attributes:
        folder: of the program.
        environment: of Pulumi's commands.

    """

    folder: Path
    environment: Mapping[str, str]

    def pulumi(self, *words: str) -> Usage:
        """Run a Pulumi command on the stack."""
        return self.run("pulumi", *words, "--non-interactive", "--stack", STACK)

    def make(self, verb: str) -> Usage:
        """Run what `make VERB CLUSTER=existing` does, except for make itself."""
        return self.run(sys.executable, "-m", "tools", verb, "--stack", STACK, "--cluster", "existing")

    def run(self, *command: str) -> Usage:
        """Run a command."""
        return measure(command, folder=self.folder, environment=self.environment, scratch=self.folder.parent)

    @property
    def state(self) -> int:
        """The bytes of the state."""
        return sum(each.stat().st_size for each in self.folder.parent.glob("state/.pulumi/stacks/**/*.json"))


def empty(root: Path, engine: Mapping[str, str]) -> Project:
    """Make the peer: a program that only imports Pulumi's Kubernetes package.

    Args:
        root: a folder that does not exist yet.
        engine: the environment that has Pulumi.

    """
    project = _project(root, engine, kubeconfig="")
    (project.folder / "Pulumi.yaml").write_text("name: empty\nruntime: {name: python, options: {virtualenv: .venv}}\n")
    (project.folder / "__main__.py").write_text("import pulumi_kubernetes\n")
    return _with_stack(project)


def platform(root: Path, engine: Mapping[str, str], kubeconfig: Path) -> Project:
    """Make a copy of this project with stack `dev`, whose images were built elsewhere.

    Args:
        root: a folder that does not exist yet.
        engine: the environment that has Pulumi.
        kubeconfig: of the cluster.

    """
    project = _project(root, engine, kubeconfig=str(kubeconfig))
    for name in _CODE:
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(ROOT / name, project.folder)
    content = yaml.safe_load((ROOT / f"Pulumi.{STACK}.yaml").read_text())
    content["config"][f"{PROJECT}:image"] = _IMAGES
    del content["config"][f"{PROJECT}:deployments"]
    (project.folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(content))
    return _with_stack(project)


def declare(project: Project, count: int) -> None:
    """Write a prefect.yaml with that many deployments, and their flows."""
    lines = ["pull: []", "deployments:"]
    for number in range(count):
        module = f"team_{number // _PER_MODULE:03}"
        (project.folder / "flows" / f"{module}.py").write_text(_FLOW)
        lines += [
            f"  - name: nightly-{number:04}",
            f"    entrypoint: flows.{module}.report",
            "    tags: [bench, nightly]",
            f"    parameters: {{top: {number + 1}, names: [a, b]}}",
            f"    schedules: [{{slug: nightly, cron: '{number % 60} 3 * * *', timezone: UTC}}]",
            "    concurrency_limit: 2",
            "    work_pool: {name: dask, job_variables: {dask_maximum: 4}}",
        ]
    (project.folder / "prefect.yaml").write_text("\n".join(lines) + "\n")


def _project(root: Path, engine: Mapping[str, str], *, kubeconfig: str) -> Project:
    for name in ("program", "state", "home"):
        (root / name).mkdir(parents=True)
    home = Path(engine.get("PULUMI_HOME", Path.home() / ".pulumi"))
    (root / "home" / "plugins").symlink_to(home / "plugins")
    automatic_logs.disable(root / "home")
    (root / "program" / ".venv").symlink_to(sys.prefix)
    environment = {
        **scratch_prefect.environment(root / "prefect"),
        **engine,
        **PREVIEW_LIKE_UPDATE,
        "PULUMI_HOME": str(root / "home"),
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_RUNTIME_VIRTUALENV": sys.prefix,
        "PYTHONPATH": str(root / "program"),
        "KUBECONFIG": kubeconfig,
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return Project(root / "program", environment)


def _with_stack(project: Project) -> Project:
    command: Sequence[str] = ["pulumi", "stack", "init", STACK, "--no-select"]
    subprocess.run(
        command, cwd=project.folder, env={**os.environ, **project.environment}, check=True, stdout=subprocess.DEVNULL
    )
    return project
