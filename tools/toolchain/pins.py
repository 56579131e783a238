"""Versions, read from the only place that states each: a go.mod file or pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tools.paths import PROGRAM, ROOT

GOMOD = ROOT / "tools" / "gomod"
"""One folder for each module: go.mod and go.sum pin everything that is compiled."""


def requirement(folder: Path, path: str) -> str | None:
    """Return the version of the Go module `path` that a folder's go.mod requires, without its `v`, or None."""
    text = (folder / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^(?:require )?\s*{re.escape(path)} v(\S+)", text, re.MULTILINE)
    return match[1] if match else None


def required(folder: Path, path: str) -> str:
    """Return the version that `requirement` returns.

    Raises:
        LookupError: the go.mod does not require the module.

    """
    version = requirement(folder, path)
    if version is None:
        message = f"{folder.name}/go.mod does not require {path}"
        raise LookupError(message)
    return version


def go_line(folder: Path) -> tuple[int, ...]:
    """Return the `go` line of a folder's go.mod as numbers: no older Go compiles it."""
    match = re.search(r"^go (\d+(?:\.\d+)+)", (folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return tuple(map(int, match[1].split("."))) if match else (0,)


def pinned(package: str) -> str:
    """Return the version of a Python package that pyproject.toml pins.

    Raises:
        LookupError: pyproject.toml does not pin the package.

    """
    groups = tomllib.loads(PROGRAM.read_text(encoding="utf-8"))["dependency-groups"]
    for entry in (entry for group in groups.values() for entry in group if isinstance(entry, str)):
        name, equals, version = entry.partition("==")
        if equals and name == package:
            return version
    message = f"pyproject.toml does not pin {package}"
    raise LookupError(message)
