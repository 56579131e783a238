"""The distribution's packages: installed when their programs are missing, without their services."""

from __future__ import annotations

from pathlib import Path

from tools.cluster import cilium, cni, images, services
from tools.cluster.network import Network
from tools.cluster.programs import run, which
from tools.errors import Problem
from tools.progress import step

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "conntrack": "conntrack",
    "iptables": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "socat": "socat",
    "modprobe": "kmod",
}
"""Program -> the package that has it. A program from another source serves as well, so programs are checked."""


def missing(network: Network = Network.PTP) -> list[str]:
    """Return the packages to install, each once."""
    packages = [package for program, package in PROGRAMS.items() if which(program) is None]
    if not (cni.PLUGINS / "ptp").exists():
        packages.append("containernetworking-plugins")
    try:
        images.busybox()
    except Problem:
        packages.append("busybox-static")
    if network is Network.CILIUM and not (cilium.LLVM / "clang").exists():
        packages.append("clang-19")
    # Ubuntu's debootstrap trusts only Ubuntu's keys.
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        packages.append("debian-archive-keyring")
    return list(dict.fromkeys(packages))


def install(packages: list[str]) -> None:
    """Install packages with apt.

    Raises:
        Problem: apt failed; the detail is its last lines.

    """
    if not packages:
        return
    with step(f"Installing {', '.join(packages)}"), services.stay_off():
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            result = run(
                "apt-get",
                "-q",
                "-o",
                "DPkg::Lock::Timeout=300",
                *arguments,
                environment={"DEBIAN_FRONTEND": "noninteractive"},
            )
            # When a list of packages cannot be refreshed, the older list may still have these packages.
            if result.returncode != 0 and arguments[0] == "install":
                raise Problem(
                    f"apt-get cannot install {', '.join(packages)}",
                    remedy="Read its output below; check the network and `apt-get update`",
                    detail="\n".join((result.stdout + result.stderr).splitlines()[-8:]),
                )
