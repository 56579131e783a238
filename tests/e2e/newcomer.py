"""A user who types commands in a clone, on a local cluster of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.clones import changes
from tests.e2e.prefect_session import OutdatedError, PrefectSession
from tools import paths
from tools.cluster import Layout
from tools.cluster.wait import until
from tools.target import LOCAL
from tools.targets import choice

ROOT = Path(__file__).parents[2]
NAMESPACE = "flows"
RUNS = "flows-runs"
"""Namespaces of stack dev: the platform's, and that of runs."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str
    """Standard output: results."""
    progress: str
    """Standard error: progress and errors."""


@dataclass
class Newcomer:
    """A user who types commands in a clone."""

    environment: dict[str, str]
    clone: Path = ROOT
    """The clone in which they type."""
    _shells: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _sessions: dict[str, PrefectSession] = field(default_factory=dict)

    @property
    def place(self) -> Layout:
        """Where the local cluster keeps its files."""
        return Layout(root=Path(self.environment["EPHEMERAL_DASK_STATE"]) / "cluster")

    def make(self, *arguments: str, **variables: str) -> Done:
        command = ["make", "--silent", *arguments]
        return self._run(command, {**self.environment, **variables})

    def type(self, command: str, **variables: str) -> Done:
        """Type a command into a shell that has just been opened in the clone."""
        return self._run(["bash", "-euc", command], {**self.environment, **variables})

    def shell(self, script: str, *, stack: str = "dev", stdin: str | None = None, **variables: str) -> Done:
        """Type a script into a shell after `eval "$(make -s env)"`.

        Args:
            script: what is typed.
            stack: whose shell it is.
            stdin: its standard input.
            variables: its environment, which is in no list of processes.

        """
        command = ["bash", "-euc", f'eval "$(make -s env STACK={stack})"\n{script}']
        return self._run(command, {**self.environment, **variables}, stdin)

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE, stdin: str | None = None) -> str:
        """Run kubectl in the shell of `make env`, opened once: it asks the cluster alone, and tests poll with it."""
        done = self.try_kubectl(*arguments, namespace=namespace, stdin=stdin)
        assert done.status == 0, done.progress
        return done.output

    def try_kubectl(self, *arguments: str, namespace: str = NAMESPACE, stdin: str | None = None) -> Done:
        """Run kubectl, which may fail."""
        if "dev" not in self._shells:
            self._shells["dev"] = self.variables("dev")
        return self._run(["kubectl", "--namespace", namespace, *arguments], dict(self._shells["dev"]), stdin)

    def ask(self, expression: str, *, stack: str = "dev") -> Any:
        """Return the JSON value of an expression that uses Prefect's `client`, `filters`, `states` and `actions`.

        It is asked in the shell of `make env`, which is opened again only where the server does not answer: tests poll
        with it.
        """
        if stack in self._sessions:
            try:
                return self._printed(expression, stack)
            except OutdatedError:
                self._sessions.pop(stack).close()
        self._sessions[stack] = PrefectSession.start(self.clone, self.variables(stack))
        return self._printed(expression, stack)

    def close(self) -> None:
        """End the processes that answer."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _printed(self, expression: str, stack: str) -> Any:
        value = self._sessions[stack].ask(expression)
        print(f"{expression}: {value}")
        return value

    def variables(self, stack: str = "dev") -> dict[str, str]:
        """Return the environment of a shell after `eval "$(make -s env)"`."""
        opened = self.shell("env -0", stack=stack)
        assert opened.status == 0, opened.progress
        return dict(line.split("=", 1) for line in opened.output.split("\0") if "=" in line)

    def start(self, deployment: str, *options: str, stack: str = "dev") -> str:
        """Start a run of a deployment and return its id, without waiting for it.

        Args:
            deployment: `<flow>/<deployment>`.
            options: those of `prefect deployment run`: `--param` and `--job-variable`, each with `<name>=<value>`.
            stack: which has it.

        """
        parameters, variables = {}, {}
        for option, value in zip(options[::2], options[1::2], strict=True):
            name, _, text = value.partition("=")
            {"--param": parameters, "--job-variable": variables}[option][name] = _value(text)
        read = f"(await client.read_deployment_by_name({deployment!r})).id"
        made = f"client.create_flow_run_from_deployment({read}, parameters={parameters}, job_variables={variables})"
        return str(self.ask(f"str((await {made}).id)", stack=stack))

    def interrupt_once_it_answers(self, command: str, url: str, *, seconds: float = 60) -> Done:
        """Type a command that serves a page, press Ctrl-C once the page answers, and return how it ended."""
        with subprocess.Popen(
            ["bash", "-euc", f"exec {command}"],
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as running:
            answered = until(lambda: running.poll() is not None or _answers(url), seconds=seconds, interval=0.5)
            early = running.poll()
            # A terminal sends it to every process of the command.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGINT)
            try:
                output, progress = running.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                raise
        print(f"$ {command}\n{output}{progress}")
        assert early is None, f"{command} ended with {early} before {url} answered"
        assert answered, f"{url} did not answer"
        return Done(running.returncode, output, progress)

    def _run(self, command: list[str], environment: dict[str, str], stdin: str | None = None) -> Done:
        done = subprocess.run(
            command, cwd=self.clone, env=environment, input=stdin, capture_output=True, text=True, check=False
        )
        print(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}")
        return Done(done.returncode, done.stdout, done.stderr)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False, follow_redirects=True).is_success
    except httpx.TransportError:
        return False


def stack_state() -> Path:
    """Return the state folder of the tests' stacks and their cluster: always the same one, used by nothing else."""
    return paths.state_dir().with_name(f"{paths.state_dir().name}-e2e")


@contextlib.contextmanager
def newcomer(clone: Path = ROOT, **variables: str) -> Iterator[Newcomer]:
    """Provide a user with stacks and a cluster of their own, and remove both in the end.

    Args:
        clone: where they type.
        variables: of their environment.

    """
    environment = {**os.environ, "EPHEMERAL_DASK_STATE": str(stack_state()), **variables}
    if not choice.is_default(LOCAL):
        environment["CLUSTER"] = LOCAL  # on a runner that has Docker
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG", "MAKEFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    user = Newcomer(environment, clone)
    before = changes(clone), changes(ROOT)
    yield user
    user.close()
    down, stopped = user.make("down", YES="1"), user.make("cluster-down")
    # After an error the next run of these tests begins with an empty state.
    assert (down.status, stopped.status) == (0, 0), down.progress + stopped.progress
    assert (changes(clone), changes(ROOT)) == before, "the commands changed the clone"
