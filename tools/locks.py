"""The dependency groups of pyproject.toml as lock files: exact versions and hashes, without an index's address."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Final

from infra.project import PACKAGE
from tools.errors import Problem
from tools.paths import PROGRAM, ROOT
from tools.progress import step

GROUPS: Final = ("dev", "flows", "platform", "data", "docs")
"""`dev` comes first, so the images get the versions that were tested here. It contains every group but two, which have
environments of their own: `data`, whose packages are large and in the image of few flows, and `docs`."""

PYTHON: Final = "3.11"
"""The version of Debian 12, so that the base image needs no other interpreter."""

FLOW_PYTHONS: Final = ("3.12", "3.13")
"""Further versions for flow images, `image.flow.python`. Each has a lock of the group `flows` of its own."""

_WITH_FLOWS: Final = ("dev", "flows", "data")
"""Groups with what flows import."""

_FOLDER: Final = ROOT / "requirements"

_STYLE: Final = ("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet")


def resolve(project: Path = PROGRAM, folder: Path = _FOLDER) -> None:
    """Write a lock for each dependency group, and those of tools with environments of their own.

    A version that is in a lock already stays, if the requirements allow it.

    Args:
        project: pyproject.toml with the groups.
        folder: where the locks are.

    Raises:
        Problem: the requirements conflict, or the package index cannot be reached.

    """
    for group in GROUPS:
        if group != "docs" or (_FOLDER / "docs.txt").exists():
            resolve_group(group, project, folder)
    for version in FLOW_PYTHONS:
        resolve_group("flows", project, folder, python=version)
    # These have environments of their own: the installer, a scanner with a hundred pinned dependencies, an S3 server,
    # what looks at the locks, what drives a browser, and what copies the program. A repository that has adopted it has
    # none for tests and documentation.
    for name in ("uv", "scan", "moto", "audit", "browser", "copier"):
        if (source := _FOLDER / f"{name}.in").exists():
            with step(f"requirements/{name}.txt"):
                _compile([str(source)], folder / f"{name}.txt")


def resolve_group(group: str, project: Path, folder: Path, *, python: str = PYTHON) -> None:
    """Write the lock of one group; the versions of `dev.txt` bind all others.

    Raises:
        Problem: as `resolve`.

    """
    name = group if python == PYTHON else f"{group}-{python}"
    with step(f"requirements/{name}.txt"):
        dev = folder / "dev.txt"
        constraints = ["--constraint", str(dev)] if group != "dev" and dev.is_file() else []
        _compile(
            ["--group", f"{project}:{group}", *of_team(group), *constraints], folder / f"{name}.txt", python=python
        )


def of_team(group: str, root: Path = ROOT) -> list[str]:
    """Return what a team's own pyproject.toml adds to a group, as arguments of `uv pip compile`.

    It has one in a repository that has adopted the program (docs/adopt.md): the dependencies of its project and its
    group `flows` are what its flows import.
    """
    file = root / "pyproject.toml"
    if group not in _WITH_FLOWS or not file.is_file() or file.samefile(root / PACKAGE / "pyproject.toml"):
        return []
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    project = [str(file)] if "project" in content else []
    return [*project, *(["--group", f"{file}:flows"] if "flows" in content.get("dependency-groups", {}) else [])]


def _compile(arguments: list[str], output: Path, *, python: str = PYTHON) -> None:
    uv = shutil.which("uv") or str(ROOT / ".venv" / "uv" / "bin" / "uv")
    command = [
        uv,
        "pip",
        "compile",
        "--python-version",
        python,
        *_STYLE,
        *arguments,
        "--output-file",
        str(output),
    ]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Problem(
            f"{output.name} could not be resolved",
            remedy="Correct pyproject.toml, or check that the package index is reachable",
            detail=result.stderr,
        )
