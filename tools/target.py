"""Where a stack is deployed: the cluster, the Pulumi state, and the environment that reaches both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools import paths

LOCAL: Final = "local"
KIND: Final = "kind"
EXISTING: Final = "existing"

CLUSTERS: Final = (LOCAL, KIND, EXISTING)
"""What CLUSTER= can name."""

PREVIEW_LIKE_UPDATE: Final = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
"""An update restores a field that was edited by others, and its preview ends with the conflict of the two owners unless
it gets the same setting: https://github.com/pulumi/pulumi-kubernetes/issues/2280."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cluster and the Pulumi state that describes what is on it.

    Attributes:
        cluster: one of `CLUSTERS`.
        environment: variables that make `pulumi`, `kubectl` and image builds use it.
        overrides: what the stack's configuration must say on it, on top of the stack file.

    """

    cluster: str
    environment: Mapping[str, str]
    overrides: Mapping[str, Any]

    @property
    def managed(self) -> bool:
        """Whether the cluster is this project's own, and with it the Pulumi state and the copy of the stack file."""
        return self.cluster != EXISTING

    @property
    def reaches_services(self) -> bool:
        """Whether this machine reaches the addresses of Services: it is the node, with a kube-proxy of its own."""
        return self.cluster == LOCAL

    @property
    def state(self) -> Path:
        """The folder of what belongs to a cluster of this project's own."""
        return state_of(self.cluster)

    def run_environment(self) -> dict[str, str]:
        """Return the whole environment of a child process."""
        return {**os.environ, **PREVIEW_LIKE_UPDATE, **self.environment}


def state_of(cluster: str) -> Path:
    """Return the folder with the Pulumi state and the copies of stack files of a cluster of this project's own."""
    return paths.state_dir() / KIND if cluster == KIND else paths.state_dir()
