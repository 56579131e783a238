"""Variables that every cluster's environment has: the command lines, and a Pulumi backend of this project's own."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools import toolchain
from tools.toolchain.pulumi import ensure_pulumi


def pulumi() -> dict[str, str]:
    """Return the variables that make `pulumi` found: the person's own, else a downloaded or built one."""
    return dict(ensure_pulumi().environment)


def command_lines() -> dict[str, str]:
    """Return the variables that make `pulumi` and `kubectl` found: the person's own, else built ones."""
    environment = pulumi()
    if shutil.which("kubectl") is None:
        environment = with_folder(environment, toolchain.ensure(["kubernetes"])["kubernetes"])
    return environment


def with_folder(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment with a folder at the end of PATH."""
    path = environment.get("PATH", os.environ["PATH"])
    return {**environment, "PATH": os.pathsep.join([path, str(folder)])}


def backend(state: Path) -> dict[str, str]:
    """Return the variables of a Pulumi backend in a folder, with a passphrase of its own.

    Never the team's own backend: its stack of the same name would be moved to this machine.
    """
    folder = state / "pulumi"
    folder.mkdir(parents=True, exist_ok=True)
    return {"PULUMI_BACKEND_URL": f"file://{folder}", **_passphrase(folder / "passphrase")}


def _passphrase(file: Path) -> Mapping[str, str]:
    if os.environ.get("PULUMI_CONFIG_PASSPHRASE") or os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return {}
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
