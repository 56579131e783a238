"""The program kind: the person's own, else one that is built."""

from __future__ import annotations

import re
import shutil

from tools import toolchain
from tools.errors import Problem
from tools.kind import docker
from tools.kind.config import MINIMUM


def problems() -> list[Problem]:
    """Return what prevents `ensure`; changes nothing."""
    if installed() or not toolchain.preflight(toolchain.KIND):
        return []
    minimum = ".".join(map(str, MINIMUM))
    other = shutil.which("kind")
    return [
        Problem(
            f"{other} is older than kind {minimum} or does not say its version" if other else "kind is not installed",
            remedy=f"Install kind {minimum} or newer, or Go 1.26 to build it",
        )
    ]


def installed() -> str | None:
    """Return the path of the person's kind, if it is new enough."""
    path = shutil.which("kind")
    if path is None:
        return None
    version = re.search(r"v?(\d+)\.(\d+)\.\d+", docker.attempt(path, "version").stdout)
    return path if version and (int(version[1]), int(version[2])) >= MINIMUM else None


def ensure() -> str:
    """Return the path of kind, building it where it is missing.

    Raises:
        Problem: it cannot be built.

    """
    if path := installed():
        return path
    for problem in problems():
        raise problem
    [name] = toolchain.KIND
    return str(toolchain.ensure(toolchain.KIND)[name] / "kind")
