"""Pulumi's Automation API for this project: a workspace, and calls that end well after Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from pulumi import automation
from pulumi.automation.errors import CommandError

from tools.errors import Problem
from tools.progress import say

T = TypeVar("T")

_SECRET: Final = "[secret]"  # noqa: S105  # the mask, not a secret
"""What `pulumi stack output` prints in place of a secret."""


class Workspace(automation.LocalWorkspace):
    """A project folder whose commands name their stack: the stack that a person has selected stays selected."""

    def select_stack(self, stack_name: str) -> None:
        """Do nothing: `Stack` passes its name to every command."""

    def stack_outputs(self, stack_name: str) -> automation.OutputMap:
        """Return a stack's outputs, secrets masked: nothing here needs one, and decrypting takes another command."""
        done = self.pulumi_command.run(
            ["stack", "output", "--json", "--stack", stack_name], str(self.work_dir), self.env_vars
        )
        return {
            name: automation.OutputValue(value=value, secret=value == _SECRET)
            for name, value in json.loads(done.stdout).items()
        }

    def create_stack(self, stack_name: str) -> None:
        """Create a stack without selecting it."""
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self.pulumi_command.run(
            ["stack", "init", stack_name, "--no-select", *provider], str(self.work_dir), self.env_vars
        )


def workspace(folder: Path, environment: Mapping[str, str], *, secrets_provider: str | None = None) -> Workspace:
    """Return the workspace of a project.

    Args:
        folder: with its Pulumi.yaml.
        environment: of every command; its PATH says which `pulumi` is used.
        secrets_provider: of stacks that are created in it; the backend's default when unset.

    """
    return Workspace(
        work_dir=str(folder),
        env_vars=environment,
        secrets_provider=secrets_provider,
        pulumi_command=_command(environment),
    )


def _command(environment: Mapping[str, str]) -> automation.PulumiCommand:
    program = shutil.which("pulumi", path=environment.get("PATH"))
    if program is None:
        raise Problem("There is no `pulumi` on PATH", remedy="Run `make doctor`, which says how to get it")
    # The API looks in the PATH of this process. A root is needed for a Pulumi that is not there.
    own = program == shutil.which("pulumi", path=os.environ.get("PATH"))
    return _installed(None if own else Path(program).parent.parent)


@cache
def _installed(root: Path | None) -> automation.PulumiCommand:
    # It asks the program for its version, which takes a third of a second.
    return automation.PulumiCommand(root=None if root is None else str(root))


def finish(call: Callable[[], T]) -> T:
    """Call Pulumi and let it finish after Ctrl-C.

    Ctrl-C reaches Pulumi as well: it completes the steps that are running, records them and ends. A second one stops
    it at once. If it were raised here, the Automation API would close Pulumi's output, which kills it.

    Args:
        call: of the Automation API, made on the main thread.

    Raises:
        KeyboardInterrupt: the person interrupted it; Pulumi has ended.

    """
    interrupts: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if not interrupts:
            say("    Pulumi completes the steps that are running; Ctrl-C again stops it at once")
        interrupts.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        result = call()
    except CommandError:
        if interrupts:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt
    return result


def output(error: CommandError) -> str:
    """Return what a command that failed wrote to standard error, or else to standard output."""
    # The exception has no attributes for them, only this text.
    head, _, stderr = str(error).partition("\n stderr: ")
    return stderr.strip() or head.partition("\n stdout: ")[2].strip()


def failed(what: str, error: CommandError) -> Problem:
    """Return the problem that a command of Pulumi which failed is.

    Args:
        what: Pulumi was to do, such as `list the stacks`.
        error: of the command.

    """
    return Problem(f"Pulumi could not {what}", remedy="Correct what it says below", detail=output(error))
