"""Where a stack goes: which cluster, which Pulumi state, which environment speaks to them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools import paths
from tools.cluster import LocalCluster
from tools.errors import Problem
from tools.toolchain import pulumi as engine
from tools.toolchain.build import ensure

LOCAL: Final = "local"
EXISTING: Final = "existing"

_ANSWER: Final = 15
"""Seconds that an existing cluster may take to say that it is ready."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cluster and the Pulumi state that describes what is on it.

    Attributes:
        local: whether it is this machine's own cluster.
        environment: variables that make `pulumi`, `kubectl` and image builds talk to it.
        overrides: what the stack's configuration must say on it, on top of the stack file.

    """

    local: bool
    environment: Mapping[str, str]
    overrides: Mapping[str, Any]

    def run_environment(self) -> dict[str, str]:
        """Return the whole environment of a child process."""
        return {**os.environ, **self.environment}


def local(*, start: bool) -> Target:
    """Return the local cluster as a target.

    Args:
        start: bring it up when it is not running; otherwise that is a problem.

    Raises:
        Problem: it is not running and must not be started, or it cannot be.

    """
    cluster = LocalCluster()
    cluster_info = cluster.up() if start else cluster.info()
    command_line = engine.ensure_pulumi()
    kubectl = ensure(["kubernetes"])["kubernetes"]
    state = paths.state_dir() / "pulumi"
    environment = {
        **command_line.environment,
        "PATH": f"{command_line.environment.get('PATH', os.environ['PATH'])}:{kubectl}",
        "KUBECONFIG": str(cluster_info.kubeconfig),
        "DOCKER_CONFIG": str(cluster_info.docker_config),
        # Never the team's own backend: its stack of the same name would be moved to this machine.
        "PULUMI_BACKEND_URL": f"file://{_made(state)}",
        **_passphrase(state / "passphrase"),
    }
    image = {
        "builder": "docker-build",
        "registry": cluster_info.registry,
        "base": cluster_info.base_image,
        "buildx": cluster_info.buildx,
        **({"caBundle": str(cluster_info.ca_bundle)} if cluster_info.ca_bundle else {}),
    }
    return Target(local=True, environment=environment, overrides={"image": image})


def existing() -> Target:
    """Return the cluster of the current kubeconfig context as a target, with the person's own Pulumi backend.

    Raises:
        Problem: the cluster does not answer.

    """
    command_line = engine.ensure_pulumi()
    environment = dict(command_line.environment)
    if shutil.which("kubectl") is None:
        path = environment.get("PATH", os.environ["PATH"])
        environment["PATH"] = f"{path}:{ensure(['kubernetes'])['kubernetes']}"
    check_answers({**os.environ, **environment})
    return Target(local=False, environment=environment, overrides={})


def check_answers(environment: Mapping[str, str]) -> None:
    """Ask the current context's API server whether it is ready.

    Raises:
        Problem: nobody answers, or not in time.

    """
    command = ["kubectl", f"--request-timeout={_ANSWER}s", "get", "--raw", "/readyz"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        config = environment.get("KUBECONFIG", "~/.kube/config")
        reason = answer.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise Problem(
            f"The cluster of KUBECONFIG={config} does not answer ({reason[0]})",
            cure="Point KUBECONFIG at a running cluster (`kubectl get nodes` must work), or leave CLUSTER=existing"
            " out to use the local one",
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _passphrase(file: Path) -> Mapping[str, str]:
    if os.environ.get("PULUMI_CONFIG_PASSPHRASE") or os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return {}
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
