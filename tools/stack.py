"""One Pulumi stack of this project, driven through Pulumi's Automation API."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.errors import CommandError, StackNotFoundError
from pulumi.automation.events import EngineEvent

from infra import project
from infra.settings import CloudPrefect, Prefect
from infra.specs.credential import CREDENTIALS
from tools import stackfile
from tools.engine import backend_lock, diagnostics, passphrase
from tools.engine.automation import Workspace, failed, finish, output, workspace
from tools.engine.results import Preview, State, Update, parse_state
from tools.errors import Problem
from tools.paths import ROOT
from tools.target import Target

OnEvent = Callable[[EngineEvent], None]


def credential_names(prefect: Prefect) -> tuple[str, str]:
    """Return the environment variable and the stack's secret that hold the Prefect credential."""
    return CREDENTIALS["api-key" if isinstance(prefect, CloudPrefect) else "auth-string"]


def _ignore(_: EngineEvent) -> None:
    pass


def _both(first: OnEvent, second: OnEvent) -> OnEvent:
    def take(event: EngineEvent) -> None:
        first(event)
        second(event)

    return take


class Stack:
    """A stack on a target.

    Args:
        name: the stack's name, that of its `Pulumi.<name>.yaml`.
        target: where it is deployed.

    """

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._target = target
        self._is_known = False

    @property
    def config_file(self) -> Path:
        """The configuration that Pulumi reads."""
        if self._target.managed:
            return stackfile.copy_of(self.name, self._target.state)
        return stackfile.tracked(self.name)

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of child processes: it names the cluster and the Pulumi backend."""
        return self._target.run_environment()

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        # Every command takes its options from the environment, those without an argument in the API too.
        return {**self._target.run_environment(), "PULUMI_OPTION_CONFIG_FILE": str(self.config_file)}

    @cached_property
    def _workspace(self) -> Workspace:
        return workspace(ROOT, self._environment)

    @cached_property
    def _stack(self) -> automation.Stack:
        return automation.Stack.select(self.name, self._workspace)

    def prepare(self) -> None:
        """Create the stack in its backend if it does not exist, and the cluster's copy of its configuration.

        Raises:
            Problem: the backend cannot be reached.

        """
        content = stackfile.read(self.name)
        stackfile.check(self.name, content, self._target.overrides)
        salt = None if self.exists() else self._init()
        if self._target.managed:
            stackfile.write_copy(self.config_file, content, self._target.overrides, salt)

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        if self._is_known:
            return True
        try:
            stacks = self._workspace.list_stacks()
        except CommandError as error:
            raise failed("list the stacks of the Pulumi backend", error) from None
        return any(each.name.rpartition("/")[2] == self.name for each in stacks)

    def _init(self) -> str | None:
        """Create the stack; if managed, away from the tracked file, into which Pulumi writes the salt."""
        try:
            if not self._target.managed:
                self._workspace.create_stack(self.name)
                return None
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(ROOT / "Pulumi.yaml", folder)
                environment = self._target.run_environment()
                temporary = workspace(Path(folder), environment, secrets_provider="passphrase")
                temporary.create_stack(self.name)
                return temporary.stack_settings(self.name).encryption_salt
        except CommandError as error:
            raise failed(f"create stack '{self.name}'", error) from None

    def _check_passphrase(self) -> None:
        passphrase.check(self.name, self.config_file, self._environment)

    def up(self, on_event: OnEvent = _ignore, on_output: Callable[[str], None] | None = None) -> Update:
        """Update the stack and return what that did.

        Args:
            on_event: takes each of the engine's events, on a thread of its own.
            on_output: takes each line that Pulumi prints.

        Raises:
            Problem: the update failed.

        """
        events: list[EngineEvent] = []
        take = _both(events.append, on_event)
        try:
            done = finish(lambda: self._stack.up(refresh=True, on_event=take, on_output=on_output, show_secrets=False))
        except CommandError as error:
            raise self._stopped("update", events, error) from None
        return Update(events=tuple(events), outputs=_plain(done.outputs))

    def preview(self) -> Preview:
        """Return what an update would change. The refresh is that of `up`: edits from outside Pulumi count."""
        events: list[EngineEvent] = []
        try:
            finish(lambda: self._stack.preview(refresh=True, on_event=events.append))
        except CommandError as error:
            self._check_passphrase()
            return Preview(events=tuple(events), error=output(error))
        return Preview(events=tuple(events))

    def diff(self) -> None:
        """Print what an update would change as Pulumi shows it.

        Raises:
            Problem: the preview failed; Pulumi has printed why.

        """
        try:
            finish(
                lambda: self._stack.preview(
                    refresh=True,
                    diff=True,
                    color="always" if sys.stdout.isatty() else "never",
                    on_output=lambda line: print(line, flush=True),
                )
            )
        except CommandError:
            self._check_passphrase()
            raise Problem(
                f"The preview of stack '{self.name}' failed", remedy="Correct what Pulumi says above"
            ) from None

    def destroy(self, on_event: OnEvent = _ignore, on_output: Callable[[str], None] | None = None) -> None:
        """Destroy everything that the stack created.

        Raises:
            Problem: something could not be destroyed.

        """
        events: list[EngineEvent] = []
        take = _both(events.append, on_event)
        try:
            finish(lambda: self._stack.destroy(on_event=take, on_output=on_output, show_secrets=False))
        except CommandError as error:
            raise self._stopped("destroy", events, error) from None

    def _stopped(self, operation: str, events: list[EngineEvent], error: CommandError) -> Problem:
        self._check_passphrase()
        failures = diagnostics.failures(events)
        return Problem(
            f"The {operation} of stack '{self.name}' failed",
            remedy="What succeeded is kept: correct the error below and run the same command again",
            detail="\n".join(map(str, failures)) or output(error),
        )

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, without secrets; empty for a stack that was never up or does not exist.

        Raises:
            Problem: the backend cannot be reached.

        """
        try:
            return _plain(self._stack.outputs())
        except StackNotFoundError:
            return {}
        except CommandError as error:
            raise failed(f"read the outputs of stack '{self.name}'", error) from None

    def credential(self, prefect: Prefect) -> Mapping[str, str]:
        """Return the Prefect credential as the environment variable that Prefect reads, or nothing.

        The environment's own wins; otherwise it is the stack's secret, if there is one.
        """
        variable, secret = credential_names(prefect)
        if value := os.environ.get(variable):
            return {variable: value}
        with suppress(CommandError):
            return {variable: self._stack.get_config(secret).value}
        return {}

    def unlock(self) -> int:
        """Remove locks whose process has ended and return how many there were.

        Raises:
            Problem: a living process holds a lock, here or on another machine.

        """
        backend = self._environment.get("PULUMI_BACKEND_URL", "")
        return backend_lock.clear_dead(self.name, backend_lock.locks(backend, project.NAME, self.name))

    def state(self) -> State:
        """Return what Pulumi knows about the stack's resources.

        Raises:
            Problem: the backend cannot be reached.

        """
        return parse_state(self._export())

    def settle(self) -> State:
        """Drop the marks of what a killed update had begun and not recorded, and return the state as it was before.

        Pulumi keeps the mark of a creation until somebody removes it. The next update does not need them: a creation
        finds the object under its name and adopts it, and a change or a deletion is compared with the world by the
        refresh and done again.

        Returns:
            The state; without resources for a stack that the backend does not know.

        Raises:
            Problem: the backend cannot be reached.

        """
        try:
            exported = self._export()
        except StackNotFoundError:
            return State(resources=())
        self._is_known = True
        state = parse_state(exported)
        if state.pending:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "state.json"
                file.write_text(exported)
                # An import drops the marks; everything else comes back as it was, secrets still encrypted.
                self._call("stack", "import", "--file", str(file))
        return state

    def _export(self) -> str:
        # The API's own export decrypts secrets, and its import writes them to a file.
        return self._call("stack", "export")

    def _call(self, *arguments: str) -> str:
        try:
            done = self._workspace.pulumi_command.run(
                [*arguments, "--stack", self.name], str(self._workspace.work_dir), self._environment
            )
        except StackNotFoundError:
            raise
        except CommandError as error:
            raise failed(f"run `pulumi {' '.join(arguments[:2])}`", error) from None
        return str(done.stdout)


def _plain(outputs: automation.OutputMap) -> dict[str, Any]:
    return {name: each.value for name, each in outputs.items() if not each.secret}
