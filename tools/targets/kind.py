"""A cluster of kind in the Docker of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import toolchain
from tools.kind import KindCluster
from tools.kind.config import NAME, REGISTRY
from tools.target import KIND, Target, state_of
from tools.targets import environment
from tools.targets.interface import Check


class Kind:
    """The cluster of CLUSTER=kind."""

    def __init__(self) -> None:
        self._cluster = KindCluster(state_of(KIND))

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The registry and the builder beside it. Images are for the node, whatever a stack file says for others."""
        image: dict[str, Any] = {"builder": "docker-build", "registry": REGISTRY, "buildx": NAME, "platforms": []}
        bundle = os.environ.get("SSL_CERT_FILE")
        if bundle and Path(bundle).is_file():
            image["caBundle"] = bundle
        return {"image": image}

    def preconditions(self) -> list[tuple[str, Check]]:
        """Return the checks of Docker, kind and Pulumi."""
        return [
            ("Docker and kind", self._cluster.problems),
            ("Pulumi, installed or buildable", lambda: toolchain.preflight(toolchain.PULUMI)),
        ]

    def running(self) -> list[tuple[str, Check]]:
        """Return the check of its containers."""
        return [("kind cluster", self._cluster.status)]

    def start(self) -> str:
        """Start cluster, registry and builder."""
        self._cluster.up()
        return f"KUBECONFIG={self._cluster.kubeconfig}, registry {REGISTRY}"

    def target(self) -> Target:
        """Return how to use the running cluster."""
        for problem in self._cluster.status():
            raise problem
        variables = environment.pulumi()
        if folder := self._cluster.kubectl_folder():
            variables = environment.with_folder(variables, folder)
        variables |= {**self._cluster.environment, **environment.backend(self._cluster.state)}
        return Target(cluster=KIND, environment=variables, overrides=self.overrides)

    def stop(self) -> None:
        """Delete it with everything in it; the Pulumi state goes with what it describes."""
        self._cluster.down()
