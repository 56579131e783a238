"""The preconditions of a build, checked without changing anything and without a program per group."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.errors import Problem
from tools.paths import nearest_existing
from tools.toolchain import go as golang
from tools.toolchain.go import Go
from tools.toolchain.group import Group
from tools.toolchain.modules import PULUMI
from tools.toolchain.pins import requirement
from tools.toolchain.store import Store


def problems(missing: list[Group], compiler: Go | None, store: Store) -> list[Problem]:
    """Return what prevents this Go from building these groups."""
    if not missing:
        return []
    if compiler is None or compiler.numbers < max(group.go for group in missing):
        return [go_problem(missing, compiler)]
    return _disk(missing, compiler, store)


def go_problem(missing: list[Group], compiler: Go | None) -> Problem:
    """Return the problem of a Go that is missing or too old."""
    version = ".".join(map(str, max(group.go for group in missing)[:2]))
    if any(group.name == "pulumi" for group in missing) and all(group.name in PULUMI for group in missing):
        go = "Go is not installed" if compiler is None else f"{compiler.executable} is {compiler.version}"
        return Problem(
            f"No Pulumi is installed that is new enough, and {go}, of which {version} is needed to build it",
            remedy=f"Install Pulumi, or let `make pulumi` download the official program, or install Go {version}",
        )
    names = ", ".join(group.name for group in missing)
    if compiler is None:
        return Problem(
            f"Go is not installed, and it is needed to build {names}",
            remedy=f"Install Go {version} or newer and add its bin folder to PATH",
        )
    return Problem(
        f"Building {names} needs Go {version} or newer, and {compiler.executable} is {compiler.version}",
        remedy=f"Install Go {version} or newer and put its bin folder first on PATH",
    )


def _disk(missing: list[Group], compiler: Go, store: Store) -> list[Problem]:
    compiled, modules = golang.caches(compiler)
    size = sum(group.size_mib for group in missing)
    # A group whose first module was downloaded before was most likely compiled before as well. If not, the build fails
    # with the message about a full disk.
    growth = sum(group.cold_mib for group in missing if not _downloaded(group, modules))
    needs: dict[int, tuple[Path, int]] = {}
    for path, mib in ((store.root, size), (compiled, growth)):
        existing = nearest_existing(path)
        device = existing.stat().st_dev
        needs[device] = (existing, mib + needs.get(device, (existing, 0))[1])
    return [
        Problem(
            f"Building {', '.join(group.name for group in missing)} takes about {_gib(mib)} below {path}, "
            f"and {_gib(free)} are free",
            remedy="Free some space there, or move the caches with EPHEMERAL_DASK_CACHE, GOCACHE and GOMODCACHE",
        )
        for path, mib in needs.values()
        if (free := shutil.disk_usage(path).free // 2**20) < mib
    ]


def _downloaded(group: Group, modules: Path) -> bool:
    """Return whether Go's module cache has the modules of a group."""
    archives = modules / "cache" / "download"
    versions = {module.requires: requirement(module.folder, module.requires) for module in group.modules}
    return all(
        version is None or (archives / path / "@v" / f"v{version}.zip").is_file() for path, version in versions.items()
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
