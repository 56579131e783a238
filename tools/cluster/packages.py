"""The distribution's packages: installed when their programs are missing, their services never started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster import cilium, cni, files, images
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
"""Program and the package that brings it. Programs are what counts: a containerd from elsewhere is as good."""
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program before it starts a service; 101 means no."""


def missing(network: Network = Network.PTP) -> list[str]:
    """List the packages to install, each once."""
    wanted = [package for program, package in PROGRAMS.items() if which(program) is None]
    if not (cni.PLUGINS / "ptp").exists():
        wanted.append("containernetworking-plugins")
    try:
        images.busybox()
    except Problem:
        wanted.append("busybox-static")
    if network is Network.CILIUM and not (cilium.LLVM / "clang").exists():
        wanted.append("clang-19")
    # Ubuntu's debootstrap trusts Ubuntu's keys only.
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        wanted.append("debian-archive-keyring")
    return list(dict.fromkeys(wanted))


@contextmanager
def services_stay_off(policy: Path = POLICY) -> Iterator[None]:
    """Keep packages from starting their services, unless the machine has a policy of its own."""
    if policy.exists():
        yield
        return
    files.write(policy, "#!/bin/sh\nexit 101\n", mode=0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def install(packages: list[str]) -> None:
    """Install packages with apt.

    Raises:
        Problem: with apt's last lines.

    """
    if not packages:
        return
    with step(f"Installing {', '.join(packages)}"), services_stay_off():
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            result = run(
                "apt-get",
                "-q",
                "-o",
                "DPkg::Lock::Timeout=300",
                *arguments,
                environment={"DEBIAN_FRONTEND": "noninteractive"},
            )
            # Lists that cannot all be refreshed may still hold these packages.
            if result.returncode != 0 and arguments[0] == "install":
                raise Problem(
                    f"apt-get cannot install {', '.join(packages)}",
                    remedy="See below what it says; check the network and `apt-get update`",
                    detail="\n".join((result.stdout + result.stderr).splitlines()[-8:]),
                )
