"""Where a stack is deployed: the cluster, the Pulumi state, and the environment that reaches both."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools import kubeconfig, paths, toolchain
from tools.cluster import Access, LocalCluster
from tools.cluster.layout import NODE_IP
from tools.errors import Problem
from tools.kubeconfig import CURRENT, Choice
from tools.toolchain.pulumi import ensure_pulumi

LOCAL: Final = "local"
EXISTING: Final = "existing"

_ANSWER: Final = 15
"""Seconds that an existing cluster may take to say that it is ready."""


PREVIEW_LIKE_UPDATE: Final = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
"""An update restores a field that was edited by others, and its preview ends with the conflict of the two owners unless
it gets the same setting: https://github.com/pulumi/pulumi-kubernetes/issues/2280."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cluster and the Pulumi state that describes what is on it.

    Attributes:
        local: whether it is this machine's own cluster.
        environment: variables that make `pulumi`, `kubectl` and image builds use it.
        overrides: what the stack's configuration must say on it, on top of the stack file.

    """

    local: bool
    environment: Mapping[str, str]
    overrides: Mapping[str, Any]

    def run_environment(self) -> dict[str, str]:
        """Return the whole environment of a child process."""
        return {**os.environ, **PREVIEW_LIKE_UPDATE, **self.environment}


def start_local_cluster() -> Access:
    """Start the local cluster, building what it consists of where that is missing.

    Raises:
        Problem: it cannot run on this machine, or a part of it did not start.

    """
    cluster = LocalCluster()
    # Asked before a build of half an hour, and only where there is something to build or to start.
    if problems := [*cluster.preflight(), *toolchain.preflight([*toolchain.PULUMI, *cluster.groups])]:
        raise problems[0]
    return cluster.up()


def local(*, start: bool) -> Target:
    """Return the local cluster as a target.

    Args:
        start: bring it up when it is not running; otherwise that is a problem.

    Raises:
        Problem: it is not running and must not be started, or it cannot be.

    """
    access = start_local_cluster() if start else LocalCluster().info()
    state = paths.state_dir() / "pulumi"
    state.mkdir(parents=True, exist_ok=True)
    environment = {
        **_command_lines(),
        **access.environment(),
        # Never the team's own backend: its stack of the same name would be moved to this machine.
        "PULUMI_BACKEND_URL": f"file://{state}",
        **_passphrase(state / "passphrase"),
    }
    image = {
        "builder": "docker-build",
        "registry": access.registry,
        "base": access.base_image,
        "buildx": access.buildx,
        **({"caBundle": str(access.ca_bundle)} if access.ca_bundle else {}),
    }
    # Here these are processes of the node, and a policy that names pods would miss them.
    node = f"{NODE_IP}/32"
    network = {"dns": [node], "database": [{"cidr": node, "ports": [5432, 6379]}]}
    return Target(local=True, environment=environment, overrides={"image": image, "network": network})


def existing(choice: Choice = CURRENT) -> Target:
    """Return a cluster of the kubeconfig as a target, with the person's own Pulumi backend.

    Args:
        choice: which one, as the stack's file has it; by default the one of the current context.

    Raises:
        Problem: the cluster does not answer, or the kubeconfig does not have the context.

    """
    environment = _command_lines()
    environment |= kubeconfig.variables(choice, {**os.environ, **environment})
    check_answers({**os.environ, **environment})
    return Target(local=False, environment=environment, overrides={})


def _command_lines() -> dict[str, str]:
    """Return the variables that make `pulumi` and `kubectl` found: the person's own, else built ones."""
    environment = dict(ensure_pulumi().environment)
    if shutil.which("kubectl") is None:
        path = environment.get("PATH", os.environ["PATH"])
        folder = toolchain.ensure(["kubernetes"])["kubernetes"]
        environment["PATH"] = os.pathsep.join([path, str(folder)])
    return environment


def check_answers(environment: Mapping[str, str]) -> None:
    """Ask the current context's API server whether it is ready.

    Raises:
        Problem: it does not answer, or not in time.

    """
    command = ["kubectl", f"--request-timeout={_ANSWER}s", "get", "--raw", "/readyz"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        config = environment.get("KUBECONFIG", "~/.kube/config")
        reason = answer.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise Problem(
            f"The cluster of KUBECONFIG={config} does not answer ({reason[0]})",
            remedy="Point KUBECONFIG at a running cluster (`kubectl get nodes` must work), or leave CLUSTER=existing"
            " out to use the local one",
        )


def _passphrase(file: Path) -> Mapping[str, str]:
    if os.environ.get("PULUMI_CONFIG_PASSPHRASE") or os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return {}
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
