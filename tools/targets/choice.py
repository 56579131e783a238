"""Which cluster is meant where CLUSTER= names none, and why."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from typing import Final

from tools.errors import Problem
from tools.target import KIND, LOCAL

_NOT_YET_RUN: Final = "its workflow has not run yet: docs/clusters.md says what is tested"
"""To be removed once docs/clusters.md records a run of .github/workflows/kind.yml."""


@dataclass(frozen=True)
class Choice:
    """One cluster of `target.CLUSTERS`, and the reason."""

    cluster: str
    why: str

    def __str__(self) -> str:
        warning = f"; {_NOT_YET_RUN}" if self.cluster == KIND else ""
        return f"{self.cluster}, because {self.why}{warning}"


def choose(requested: str = "") -> Choice:
    """Return the cluster that CLUSTER= names, else the one that this machine can run.

    A cluster of the kubeconfig is never chosen: its current context may be one that others use.

    Args:
        requested: the value of CLUSTER=; empty where it was not set.

    Raises:
        Problem: this machine can run none.

    """
    if requested:
        return Choice(requested, f"CLUSTER={requested} says so")
    system = name_of_system()
    if _is_debian() and _is_root():
        return Choice(LOCAL, f"this is {system} and you are root")
    if shutil.which("docker"):
        return Choice(KIND, f"this is {system if _is_root() else f'{system} without root'} with Docker")
    raise Problem(
        f"There is no cluster for a stack on this machine: the local cluster needs root on Debian, kind needs Docker,"
        f" and this is {system} {'with' if _is_root() else 'without'} root and without Docker",
        remedy="Install Docker and repeat the command, or deploy to the current context of your kubeconfig with"
        " CLUSTER=existing. `make laptop` runs a flow without any cluster",
    )


def is_default(cluster: str) -> bool:
    """Return whether a cluster is the one that is meant where CLUSTER= names none."""
    try:
        return choose().cluster == cluster
    except Problem:
        return False


def name_of_system() -> str:
    """Return the operating system as people call it."""
    if platform.system() == "Darwin":
        return f"macOS on {'Apple silicon' if platform.machine() == 'arm64' else platform.machine()}"
    if platform.system() != "Linux":
        return platform.system() or "an unknown system"
    name = _os_release().get("NAME", "Linux")
    return f"{name} in WSL" if _is_wsl() else name


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _is_debian() -> bool:
    return platform.system() == "Linux" and _os_release().get("ID") == "debian" and not _is_wsl()


def _is_wsl() -> bool:
    return "microsoft" in platform.release().lower()


def _is_root() -> bool:
    return os.geteuid() == 0
