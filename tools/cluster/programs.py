"""The programs of a cluster: those built from Go modules, and those of the distribution."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.cluster.network import Network
from tools.errors import Problem

BUILT = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "buildkitd",
    "local-path-provisioner",
)
"""Programs that the distribution does not have; they are built."""
FOR_CILIUM = ("cilium-agent", "cilium-operator", "cilium-cni")
"""Further built programs, for the network Cilium."""
GROUPS = ("kubernetes", "etcd", "coredns", "buildkit", "local-path-provisioner")
"""The toolchain's groups with the built programs of every cluster."""
FOLDERS = "EPHEMERAL_DASK_PROGRAMS"
"""Environment variable: folders, written as in PATH, that have all built programs; used instead of the toolchain's."""


def needed(network: Network) -> tuple[str, ...]:
    """Return the names of a cluster's built programs."""
    return (*BUILT, *(FOR_CILIUM if network is Network.CILIUM else ()))


def groups(network: Network) -> tuple[str, ...]:
    """Return the toolchain's groups that have them."""
    return (*GROUPS, *(("cilium",) if network is Network.CILIUM else ()))


def find(folders: Iterable[Path], names: Iterable[str] = BUILT) -> dict[str, Path]:
    """Return the path of each named program, from the first folder that has it.

    Raises:
        Problem: a program is in none of the folders.

    """
    candidates = list(folders)
    paths: dict[str, Path] = {}
    missing = []
    for name in names:
        path = next((folder / name for folder in candidates if os.access(folder / name, os.X_OK)), None)
        if path is None:
            missing.append(name)
        else:
            paths[name] = path.resolve()
    if missing:
        raise Problem(
            f"None of the folders {', '.join(map(str, candidates)) or '(none)'} has {', '.join(missing)}",
            remedy=f"Add the folders that have it to {FOLDERS}, or unset that variable to build it",
        )
    return paths


def built(network: Network = Network.PTP) -> dict[str, Path]:
    """Return the path of each of `needed`: in the folders of `FOLDERS`, else built by the toolchain where missing.

    Raises:
        Problem: see `find` and `tools.toolchain.ensure`.

    """
    if folders := os.environ.get(FOLDERS):
        return find((Path(folder) for folder in folders.split(os.pathsep) if folder), needed(network))
    from tools import toolchain  # noqa: PLC0415  the status of a running cluster needs no toolchain

    return find(toolchain.ensure(groups(network)).values(), needed(network))


def search_path() -> str:
    """Return PATH with the folders of administrators' programs, which a user's PATH often lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def which(program: str) -> str | None:
    """Return the path of a program of the machine, or None."""
    return shutil.which(program, path=search_path())


def run(*argv: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of the machine to its end, with its output as text; the status of a missing program is 127."""
    variables = {**os.environ, **(environment or {}), "PATH": search_path()}
    program = which(argv[0])
    if program is None:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: not found")
    return subprocess.run([program, *argv[1:]], input=stdin, capture_output=True, text=True, check=False, env=variables)
