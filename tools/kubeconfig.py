"""The cluster that a stack's file chooses by `kubernetes:context` and `kubernetes:kubeconfig`, for every command.

Pulumi's own Kubernetes provider reads these keys. `make` also calls kubectl and the Kubernetes API, which read
KUBECONFIG, so they get a kubeconfig whose current context is that one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools import paths
from tools.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a stack's file says.

    Attributes:
        stack: its name.
        context: of the kubeconfig; empty for the current one.
        file: path of the kubeconfig; empty for KUBECONFIG and the usual place. Contents, which may be encrypted, are
            for Pulumi only.

    """

    stack: str = ""
    context: str = ""
    file: str = ""


CURRENT: Final = Choice()
"""The current context of the person's own kubeconfig."""


def choice(stack: str, content: Mapping[str, Any]) -> Choice:
    """Return what the content of a stack's file says."""
    config = content.get("config") or {}
    context, file = (config.get(f"kubernetes:{key}") for key in ("context", "kubeconfig"))
    path = file if isinstance(file, str) and "\n" not in file.strip() and not file.lstrip().startswith("{") else ""
    return Choice(stack=stack, context=context if isinstance(context, str) else "", file=path)


def variables(choice: Choice, environment: Mapping[str, str]) -> dict[str, str]:
    """Return KUBECONFIG for the cluster of a stack, or nothing for the current one.

    Args:
        choice: of the stack's file.
        environment: with kubectl on its PATH.

    Raises:
        Problem: the kubeconfig does not have the context.

    """
    own = {"KUBECONFIG": os.path.expanduser(choice.file)} if choice.file else {}  # noqa: PTH111  may be a list of paths
    if not choice.context:
        return own
    command = ["kubectl", "config", "view", "--raw", "--flatten", "--minify", f"--context={choice.context}"]
    done = subprocess.run(command, env={**environment, **own}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise Problem(
            f"kubernetes:context of Pulumi.{choice.stack}.yaml is '{choice.context}': {reason}",
            remedy="Correct it, or add the context to the kubeconfig: `kubectl config get-contexts` lists those it has",
        )
    return {"KUBECONFIG": str(_written(choice.stack, done.stdout))}


def _written(stack: str, content: str) -> Path:
    """Write a kubeconfig that its owner alone can read. It stays, because the shell of `make env` uses it."""
    folder = paths.state_dir() / "kubeconfigs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / stack
    path.touch(mode=0o600)
    path.write_text(content)
    return path
