"""One Pulumi stack, driven through the Pulumi command line."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from infra.settings import CloudPrefect, Prefect
from infra.specs.credential import CREDENTIALS
from tools import stackfile
from tools.errors import Problem
from tools.paths import PROJECT, ROOT
from tools.target import Target


def credential_names(prefect: Prefect) -> tuple[str, str]:
    """Return the environment variable and the stack's secret that hold the Prefect credential."""
    return CREDENTIALS["api-key" if isinstance(prefect, CloudPrefect) else "auth-string"]


class Stack:
    """A stack on a target.

    Args:
        name: the stack's name, that of its `Pulumi.<name>.yaml`.
        target: where it goes.

    """

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._target = target

    @property
    def config_file(self) -> Path:
        """The configuration that Pulumi is given."""
        return stackfile.local_copy(self.name) if self._target.local else stackfile.tracked(self.name)

    def prepare(self) -> None:
        """Make the stack in its backend if there is none, and the local cluster's copy of its configuration.

        Raises:
            Problem: the backend cannot be reached, or the passphrase is not the one of this stack.

        """
        content = stackfile.read(self.name)
        stackfile.check(self.name, content, self._target.overrides)
        salt = None if self.exists() else self._init()
        if self._target.local:
            stackfile.write_copy(self.name, content, self._target.overrides, salt)
        self._check_passphrase()

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        listed = json.loads(self._answer(["stack", "ls", "--json"]))
        return any(str(entry["name"]).rsplit("/", 1)[-1] == self.name for entry in listed)

    def _init(self) -> str | None:
        """Make the stack; on the local cluster away from the tracked file, into which Pulumi writes the salt."""
        if not self._target.local:
            self._answer(["stack", "init", self.name, "--no-select"])
            return None
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(ROOT / "Pulumi.yaml", folder)
            provider = ["--secrets-provider", "passphrase"]
            self._answer(["-C", folder, "stack", "init", self.name, "--no-select", *provider])
            made = yaml.safe_load((Path(folder) / f"Pulumi.{self.name}.yaml").read_text())
        return str(made["encryptionsalt"])

    def _check_passphrase(self) -> None:
        if "encryptionsalt" not in self.config_file.read_text():
            return  # another provider of secrets; its complaint comes from Pulumi itself
        with tempfile.TemporaryDirectory() as folder:
            # Pulumi compares the passphrase with the salt only when it has something to encrypt: a value that is
            # no secret, in a copy that is thrown away.
            copy = Path(shutil.copy(self.config_file, folder))
            command = ["config", "set", "--secret", "probe", "probe", "--stack", self.name, "--config-file", str(copy)]
            done = self._capture(command)
        if done.returncode == 0:
            return
        if "passphrase" in done.stderr:
            raise Problem(
                f"The passphrase is not the one that stack '{self.name}' was made with",
                remedy="Set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to that one; for the local"
                " cluster unset both, its own passphrase is kept beside its state",
            )
        raise _failed(command, done)

    def up(self) -> Mapping[str, int]:
        """Update the stack and return how many resources were created, updated, ..., and stayed the same.

        Raises:
            Problem: the update failed; Pulumi has said why.

        """
        self._run(["up", "--yes", "--skip-preview", "--refresh", *self._named()])
        history = json.loads(self._answer(["stack", "history", "--json", "--page-size", "1", "--stack", self.name]))
        changes: Mapping[str, int] = history[0].get("resourceChanges") or {}
        return changes

    def preview(self, arguments: Sequence[str] = ()) -> None:
        """Show what an update would change."""
        self._run(["preview", "--diff", *arguments, *self._named()])

    def plan(self) -> tuple[list[str], str | None]:
        """Preview an update and return the engine's event log, and why it failed if it did.

        What Pulumi shows a person goes to standard error. The refresh is that of `up`: edits from outside count.
        """
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "events.jsonl"
            command = ["pulumi", "--non-interactive", "preview", "--refresh", "--event-log", str(log), *self._named()]
            # Hidden behind this switch, and what Pulumi's own Automation API reads.
            environment = {**self._target.run_environment(), "PULUMI_DEBUG_COMMANDS": "true"}
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False
            )
            print(done.stderr, end="", file=sys.stderr)
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return lines, done.stderr.strip() if done.returncode != 0 else None

    def destroy(self) -> None:
        """Destroy everything that the stack made."""
        self._run(["destroy", "--yes", "--skip-preview", *self._named()])

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets left out."""
        answer: dict[str, Any] = json.loads(self._answer(["stack", "output", "--json", "--stack", self.name]))
        return answer

    def credential(self, prefect: Prefect) -> Mapping[str, str]:
        """Return the Prefect credential as the environment variable that Prefect reads, or nothing.

        The environment's own wins; otherwise it is the stack's secret, if there is one.
        """
        variable, secret = credential_names(prefect)
        if found := os.environ.get(variable):
            return {variable: found}
        done = self._capture(["config", "get", secret, *self._named()])
        return {variable: done.stdout.strip()} if done.returncode == 0 else {}

    def dead_locks(self) -> list[Path]:
        """Locks of the file backend whose process is gone.

        Raises:
            Problem: a lock is held by a process that lives, here or on another machine.

        """
        dead = []
        for path in self._locks():
            lock = json.loads(path.read_text())
            if lock["hostname"] != socket.gethostname() or _alive(int(lock["pid"])):
                raise Problem(
                    f"Stack '{self.name}' is being changed by process {lock['pid']} on {lock['hostname']}"
                    f" since {lock['timestamp']}",
                    remedy="Wait for it to end, or end it and run `make unlock`",
                )
            dead.append(path)
        return dead

    def unlock(self) -> int:
        """Remove dead locks and return how many there were."""
        dead = self.dead_locks()
        for path in dead:
            path.unlink(missing_ok=True)
        return len(dead)

    def settle(self) -> list[str]:
        """Take back what a killed update had begun and not recorded, and return it as `creating <resource>`.

        Pulumi keeps such marks in the state, a creation's for ever. The next update does not need them: a creation
        finds the object under its name and adopts it, and a change or a deletion is compared with the world by the
        refresh and done again.
        """
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.json"
            self._answer(["stack", "export", "--stack", self.name, "--file", str(state)])
            begun = (json.loads(state.read_text())["deployment"] or {}).get("pending_operations") or []
            if begun:
                # An import drops the marks; everything else comes back as it was, secrets still encrypted.
                self._answer(["stack", "import", "--stack", self.name, "--file", str(state)])
        return [f"{each['type']} {str(each['resource']['urn']).rpartition('::')[2]}" for each in begun]

    def _locks(self) -> list[Path]:
        backend = self._target.run_environment().get("PULUMI_BACKEND_URL", "")
        if urlparse(backend).scheme != "file":
            return []
        folder = Path(urlparse(backend).path) / ".pulumi" / "locks"
        return sorted(folder.glob(f"organization/{PROJECT}/{self.name}/*.json"))

    def _named(self) -> list[str]:
        return ["--stack", self.name, "--config-file", str(self.config_file)]

    def _run(self, arguments: Sequence[str]) -> None:
        command = ["pulumi", "--non-interactive", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._target.run_environment(), check=False)
        if done.returncode != 0:
            raise Problem(
                f"`pulumi {arguments[0]}` of stack '{self.name}' did not succeed",
                remedy="Its last lines above say why; what was done is kept, so run the same command again after"
                " mending that",
            )

    def _capture(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", *arguments]
        environment = self._target.run_environment()
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def _answer(self, arguments: Sequence[str]) -> str:
        done = self._capture(arguments)
        if done.returncode != 0:
            raise _failed(arguments, done)
        return done.stdout


def _failed(arguments: Sequence[str], done: subprocess.CompletedProcess[str]) -> Problem:
    return Problem(
        f"`pulumi {' '.join(arguments[:2])}` did not succeed",
        remedy="Mend what Pulumi says below",
        detail=done.stderr.strip() or done.stdout.strip(),
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
