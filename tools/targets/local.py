"""The local cluster: processes on this machine, which is its node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools import toolchain
from tools.cluster import LocalCluster
from tools.cluster.layout import NODE_IP
from tools.errors import Problem
from tools.target import LOCAL, Target, state_of
from tools.targets import environment
from tools.targets.interface import Check


class Local:
    """The cluster of CLUSTER=local."""

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The image section is replaced; its values are known once the cluster runs."""
        return {"image": {"builder": "docker-build", "registry": "localhost"}}

    def preconditions(self) -> list[tuple[str, Check]]:
        """Return the checks of the machine and of what is built."""
        cluster = LocalCluster()
        return [
            ("this machine can run the local cluster", cluster.preflight),
            (
                "Pulumi and Kubernetes, built or buildable",
                lambda: toolchain.preflight([*toolchain.PULUMI, *cluster.groups]),
            ),
        ]

    def running(self) -> list[tuple[str, Check]]:
        """Return the check of its processes."""
        return [("local cluster", _processes)]

    def start(self) -> str:
        """Start it, building what it consists of where that is missing."""
        # Asked before a build of half an hour, and only where there is something to build or to start.
        for _, check in self.preconditions():
            for problem in check():
                raise problem
        info = LocalCluster().up()
        return f"KUBECONFIG={info.kubeconfig}, network {info.network}"

    def target(self) -> Target:
        """Return how to use the running cluster."""
        access = LocalCluster().info()
        variables = {
            **environment.command_lines(),
            **access.environment(),
            **environment.backend(state_of(LOCAL)),
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
        return Target(cluster=LOCAL, environment=variables, overrides={"image": image, "network": network})

    def stop(self) -> None:
        """Stop it and undo what it changed on this machine; its objects and volumes stay."""
        LocalCluster().down()


def _processes() -> list[Problem]:
    states = LocalCluster().status()
    if not any(state.alive for state in states):
        return [Problem("The local cluster is not running", remedy="Start it: make cluster-up (make up does, too)")]
    return [
        Problem(f"{state.name} of the local cluster is dead: {state.detail}", remedy="make cluster-down cluster-up")
        for state in states
        if not state.alive
    ]
