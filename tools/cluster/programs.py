"""The programs a cluster consists of: ours, built from Go modules, and those of the distribution."""

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
"""Programs that the distribution does not have."""
FOR_CILIUM = ("cilium-agent", "cilium-operator", "cilium-cni")
"""Those that only the network Cilium needs."""
GROUPS = ("kubernetes", "etcd", "coredns", "buildkit", "local-path-provisioner")
"""What the toolchain calls the groups that every cluster's come in."""
FOLDERS = "EPHEMERAL_DASK_PROGRAMS"
"""Environment variable: folders (as in PATH) that have all of them, to be used in place of the toolchain's."""


def needed(network: Network) -> tuple[str, ...]:
    """Name the programs of a cluster that the distribution does not have."""
    return (*BUILT, *(FOR_CILIUM if network is Network.CILIUM else ()))


def groups(network: Network) -> tuple[str, ...]:
    """Return what the toolchain calls the groups that they come in."""
    return (*GROUPS, *(("cilium",) if network is Network.CILIUM else ()))


def find(folders: Iterable[Path], names: Iterable[str] = BUILT) -> dict[str, Path]:
    """Each of the named programs from the first folder that has it.

    Raises:
        Problem: when a program is in none of them.

    """
    places = list(folders)
    found: dict[str, Path] = {}
    wanted = list(names)
    for name in wanted:
        for folder in reversed(places):
            if os.access(folder / name, os.X_OK):
                found[name] = (folder / name).resolve()
    if missing := [name for name in wanted if name not in found]:
        raise Problem(
            f"None of the folders {', '.join(map(str, places)) or '(none)'} has {', '.join(missing)}",
            remedy=f"Name the folders that have it in {FOLDERS}, or leave that variable unset to have it built",
        )
    return found


def built(network: Network = Network.PTP) -> dict[str, Path]:
    """Path of each of `needed`, from the folders of `FOLDERS` or else from the toolchain, which builds what is missing.

    Raises:
        Problem: see `find` and `tools.toolchain.ensure`.

    """
    if chosen := os.environ.get(FOLDERS):
        return find((Path(folder) for folder in chosen.split(os.pathsep) if folder), needed(network))
    from tools import toolchain  # noqa: PLC0415  a cluster that runs is looked at without it

    return find(toolchain.ensure(groups(network)).values(), needed(network))


def search_path() -> str:
    """PATH, and the folders for administrators that a user's PATH often lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def which(program: str) -> str | None:
    """Find a program of the machine."""
    return shutil.which(program, path=search_path())


def run(*argv: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of the machine to its end, with its output as text; a missing program is exit status 127."""
    variables = {**os.environ, **(environment or {}), "PATH": search_path()}
    program = which(argv[0])
    if program is None:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: not found")
    return subprocess.run([program, *argv[1:]], input=stdin, capture_output=True, text=True, check=False, env=variables)
