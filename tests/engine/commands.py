"""Pulumi's command line on a backend of files, and its events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.paths import ROOT
from tools.toolchain import automatic_logs

COMMAND = 180.0
"""Seconds that one Pulumi command may take."""


@dataclass
class Result:
    """What a Pulumi command did.

    Attributes:
        code: its exit status.
        text: all that it wrote.
        events: the engine's events, for commands that were asked for them.

    """

    code: int
    text: str
    events: list[dict[str, Any]]

    def steps(self) -> dict[str, str]:
        """Return resource -> operation, without what stays the same."""
        return {
            _resource(step): step["op"]
            for step in self._steps()
            if step["op"] not in ("same", "read", "refresh") and not step["type"].startswith("pulumi:")
        }

    def fields(self, resource: str) -> list[str]:
        """Return the inputs in which a resource is updated, compared as the engine's display does."""
        old, new = self.updates().get(resource, ({}, {}))
        return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))

    def updates(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Return resource -> its inputs before and after the update."""
        return {
            _resource(step): (step["old"]["inputs"], step["new"]["inputs"])
            for step in self._steps()
            if step["op"] == "update" and not step["type"].startswith("pulumi:")
        }

    def _steps(self) -> Iterator[dict[str, Any]]:
        for event in self.events:
            if "resourcePreEvent" in event:
                yield event["resourcePreEvent"]["metadata"]

    def messages(self) -> str:
        """Return the messages for the user, without debugging."""
        diagnostics = (event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event)
        return "\n".join(item["message"] for item in diagnostics if item["severity"] != "debug")


def _resource(step: dict[str, Any]) -> str:
    return str(step["urn"]).rpartition("::")[2]


class Commands:
    """A project's only stack, on a backend of files.

    Args:
        folder: where the state is and what Pulumi keeps for itself; both are made where they are missing.
        project: the folder with the program.

    """

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project = folder, project
        for own in ("state", "home"):
            (folder / own).mkdir(exist_ok=True)
        automatic_logs.disable(folder / "home")
        # Compiling what a stack imports of the Kubernetes package takes ten seconds: it is to be kept.
        unwanted = ("PREFECT_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        self.environment = {
            **inherited,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # A preview prints its events one by one, as an update does.
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
            # The interpreter of this test runs program and provider, wherever the engine would look.
            "PULUMI_PYTHON_CMD": sys.executable,
            "PULUMI_RUNTIME_VIRTUALENV": sys.prefix,
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command: str) -> Result:
        """Run a Pulumi command that must succeed."""
        result = self.attempt(*command)
        if result.code != 0:
            said = f"{result.messages()}\n{result.text[-2000:]}"
            pytest.fail(f"pulumi {' '.join(command)} ended with {result.code}:\n{said}", pytrace=False)
        return result

    def attempt(self, *command: str) -> Result:
        """Run a Pulumi command."""
        done = subprocess.run(
            ["pulumi", *command, "--non-interactive"],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND,
        )
        lines = done.stdout.splitlines() if "--json" in command else []
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return Result(done.returncode, done.stdout + done.stderr, events)

    def up(self, *options: str) -> Result:
        """Bring the stack up."""
        return self.run("up", "--yes", "--skip-preview", "--json", *options)

    def try_up(self, *options: str) -> Result:
        """Bring the stack up, which may fail."""
        return self.attempt("up", "--yes", "--skip-preview", "--json", *options)

    def preview(self, *options: str) -> str:
        """Return what a preview shows a person."""
        return self.run("preview", "--diff", *options).text

    def destroy(self) -> Result:
        """Destroy everything in the stack."""
        return self.run("destroy", "--yes", "--skip-preview", "--json")

    def export(self) -> dict[str, Any]:
        """Return the state."""
        state: dict[str, Any] = json.loads(self.run("stack", "export").text)
        return state
