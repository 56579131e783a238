"""A cluster of the person's kubeconfig, with their own Pulumi backend."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, Final

from infra.settings import Prebuilt
from tools import kubeconfig, registry, stackfile, toolchain
from tools.errors import Problem
from tools.target import EXISTING, Target
from tools.targets import environment
from tools.targets.interface import Check

_ANSWER: Final = 15
"""Seconds that the cluster may take to say that it is ready."""


class Existing:
    """The cluster of CLUSTER=existing.

    Args:
        stack: whose file may name a context; by default it is the current one.

    """

    overrides: Mapping[str, Any] = {}

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def preconditions(self) -> list[tuple[str, Check]]:
        """Return the checks of Pulumi, the cluster and the registry."""
        return [
            ("Pulumi, installed or buildable", lambda: toolchain.preflight(toolchain.PULUMI)),
            ("cluster of the stack", self._reachable),
            ("registry that images are pushed to", self._registry),
        ]

    def running(self) -> list[tuple[str, Check]]:
        """Return nothing: whether it answers is a precondition."""
        return []

    def start(self) -> str:
        """Do nothing: others start it."""
        return ""

    def target(self) -> Target:
        """Return how to use the cluster that the stack's file or the kubeconfig names."""
        variables = environment.command_lines()
        variables |= kubeconfig.variables(self._choice(), {**os.environ, **variables})
        check_answers({**os.environ, **variables})
        return Target(cluster=EXISTING, environment=variables, overrides={})

    def stop(self) -> None:
        """Refuse."""
        raise Problem(
            "The cluster of CLUSTER=existing is not this project's to stop",
            remedy="`make down CLUSTER=existing` destroys the stack on it",
        )

    def _choice(self) -> kubeconfig.Choice:
        return kubeconfig.choice(self._stack, stackfile.read(self._stack))

    def _reachable(self) -> list[Problem]:
        if shutil.which("kubectl") is None:
            # One that is built first is asked later.
            if not toolchain.preflight(["kubernetes"]):
                return []
            return [
                Problem("kubectl, which reads your kubeconfig, is not installed", remedy="Install it and try again")
            ]
        try:
            check_answers({**os.environ, **kubeconfig.variables(self._choice(), os.environ)})
        except Problem as problem:
            return [problem]
        return []

    def _registry(self) -> list[Problem]:
        try:
            image = stackfile.check(self._stack, stackfile.read(self._stack), {}).image
        except Problem:
            return []  # reported by the check of the stack file
        return [] if isinstance(image, Prebuilt) else registry.problems(image.registry)


def check_answers(variables: Mapping[str, str]) -> None:
    """Ask the current context's API server whether it is ready.

    Raises:
        Problem: it does not answer, or not in time.

    """
    command = ["kubectl", f"--request-timeout={_ANSWER}s", "get", "--raw", "/readyz"]
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        config = variables.get("KUBECONFIG", "~/.kube/config")
        reason = answer.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise Problem(
            f"The cluster of KUBECONFIG={config} does not answer ({reason[0]})",
            remedy="Point KUBECONFIG at a running cluster (`kubectl get nodes` must work), or choose another with"
            " CLUSTER=local or CLUSTER=kind",
        )
