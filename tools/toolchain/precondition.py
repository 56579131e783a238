"""What must be true before a build, found out in well under a second and without changing anything."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.errors import Problem
from tools.toolchain import go as golang
from tools.toolchain.go import Go
from tools.toolchain.group import Group
from tools.toolchain.pins import requirement
from tools.toolchain.store import Store


def problems(missing: list[Group], compiler: Go | None, store: Store) -> list[Problem]:
    """Tell what keeps this Go from building these groups."""
    if not missing:
        return []
    if compiler is None or compiler.numbers < max(group.go for group in missing):
        return [wants_go(missing, compiler)]
    return _disk(missing, compiler, store)


def wants_go(missing: list[Group], compiler: Go | None) -> Problem:
    """Make the sentence about a Go that is missing or too old."""
    version = ".".join(map(str, max(group.go for group in missing)[:2]))
    names = ", ".join(group.name for group in missing)
    if compiler is None:
        return Problem(
            f"Go is not installed, and it is needed to build {names}",
            remedy=f"Install Go {version} or newer and put its bin folder on PATH",
        )
    return Problem(
        f"Building {names} needs Go {version} or newer, and {compiler.executable} is {compiler.version}",
        remedy=f"Install Go {version} or newer and put its bin folder first on PATH",
    )


def _disk(missing: list[Group], compiler: Go, store: Store) -> list[Problem]:
    compiled, modules = golang.caches(compiler)
    size = sum(group.size_mib for group in missing)
    # A group whose first module was fetched before was most likely compiled before, too: if not, Go says
    # that the disk is full, and that has a sentence of its own.
    growth = sum(group.cold_mib for group in missing if not _fetched(group, modules))
    needs: dict[int, tuple[Path, int]] = {}
    for path, mib in ((store.root, size), (compiled, growth)):
        existing = _existing(path)
        device = existing.stat().st_dev
        needs[device] = (existing, mib + needs.get(device, (existing, 0))[1])
    return [
        Problem(
            f"Building {', '.join(group.name for group in missing)} takes about {_gib(mib)} below {path}, "
            f"and {_gib(free)} are free",
            remedy="Free some space there, or move caches by EPHEMERAL_DASK_CACHE, GOCACHE and GOMODCACHE",
        )
        for path, mib in needs.values()
        if (free := shutil.disk_usage(path).free // 2**20) < mib
    ]


def _fetched(group: Group, modules: Path) -> bool:
    """Whether Go's module cache holds what the group is made of."""
    archives = modules / "cache" / "download"
    versions = {module.requires: requirement(module.folder, module.requires) for module in group.modules}
    return all(
        version is None or (archives / path / "@v" / f"v{version}.zip").is_file() for path, version in versions.items()
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
