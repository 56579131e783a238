"""Somebody who types commands in a clone, on a local cluster of their own."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.cluster import Layout

ROOT = Path(__file__).parents[2]
NAMESPACE = "flows"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str
    """Standard output: results."""
    told: str
    """Standard error: progress and errors."""


@dataclass
class Newcomer:
    """Somebody who types commands in the clone."""

    environment: dict[str, str]
    clone: Path = ROOT
    """The clone in which they type."""

    @property
    def place(self) -> Layout:
        """Where the local cluster keeps its files."""
        return Layout(root=Path(self.environment["EPHEMERAL_DASK_STATE"]) / "cluster")

    def make(self, *arguments: str, **more: str) -> Done:
        command = ["make", "--silent", *arguments]
        return self._run(command, {**self.environment, **more})

    def shell(self, script: str, *, stack: str = "dev", given: str | None = None, **more: str) -> Done:
        """A shell after `eval "$(make -s env)"`.

        Args:
            script: what is typed.
            stack: whose shell it is.
            given: its standard input.
            more: its environment, which is in no list of processes.

        """
        command = ["bash", "-euc", f'eval "$(make -s env STACK={stack})"\n{script}']
        return self._run(command, {**self.environment, **more}, given)

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE, given: str | None = None) -> str:
        done = self.shell(f"kubectl --namespace {namespace} {shlex.join(arguments)}", given=given)
        assert done.status == 0, done.told
        return done.output

    def start(self, deployment: str, *options: str) -> str:
        """Ask for a run of a deployment and return its id, without waiting for it."""
        command = shlex.join([".venv/bin/prefect", "deployment", "run", deployment, *options])
        done = self.shell(f"COLUMNS=200 {command}")
        assert done.status == 0, done.told
        found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", done.output)
        assert found, done.output
        return found[0]

    def _run(self, command: list[str], environment: dict[str, str], given: str | None = None) -> Done:
        done = subprocess.run(
            command, cwd=self.clone, env=environment, input=given, capture_output=True, text=True, check=False
        )
        print(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}")
        return Done(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def newcomer(**more: str) -> Iterator[Newcomer]:
    """Give somebody whose stacks and cluster are nobody else's, and take both back in the end."""
    state = paths.state_dir().with_name(f"{paths.state_dir().name}-e2e")
    environment = {**os.environ, "EPHEMERAL_DASK_STATE": str(state), **more}
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG", "MAKEFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    someone = Newcomer(environment)
    found = _changes()
    yield someone
    someone.make("down", "YES=1")
    done = someone.make("cluster-down")
    assert done.status == 0, done.told
    assert _changes() == found, "the commands changed the clone"


def _changes() -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
