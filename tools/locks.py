"""The dependency groups of pyproject.toml as files of exact versions and hashes, without any address."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tools.errors import Problem
from tools.paths import ROOT
from tools.progress import step

GROUPS: Final = ("dev", "flows", "platform")
"""`dev` first: it holds every group, so what the images get is what was tested here."""

PYTHON: Final = "3.11"
"""Debian 12's, so that the base image needs no interpreter from elsewhere."""

_STYLE: Final = ("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet")


def resolve() -> None:
    """Write requirements/*.txt.

    Raises:
        Problem: there is no solution, or the package index cannot be reached.

    """
    folder = ROOT / "requirements"
    for group in GROUPS:
        with step(f"requirements/{group}.txt"):
            constraints = [] if group == "dev" else ["--constraint", str(folder / "dev.txt")]
            _compile(["--group", group, *constraints, str(ROOT / "pyproject.toml")], folder / f"{group}.txt")
    # Each in an environment of its own: what installs the packages, and a scanner with a hundred pins.
    for name in ("uv", "scan"):
        with step(f"requirements/{name}.txt"):
            _compile([str(folder / f"{name}.in")], folder / f"{name}.txt")


def _compile(arguments: list[str], result: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".venv" / "uv" / "bin" / "uv")
    command = [
        uv,
        "pip",
        "compile",
        "--python-version",
        PYTHON,
        *_STYLE,
        *arguments,
        "--output-file",
        str(result),
    ]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            f"{result.name} could not be resolved",
            remedy="Mend pyproject.toml, or check that the package index is reachable",
            detail=done.stderr,
        )
