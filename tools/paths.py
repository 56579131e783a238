"""The folders in which this project keeps files outside the clone."""

from __future__ import annotations

import os
from pathlib import Path

from infra.project import PACKAGE

PROJECT = "ephemeral-dask"
ROOT = Path(__file__).resolve().parent.parent
"""The clone."""
PROGRAM = ROOT / PACKAGE / "pyproject.toml"
"""pyproject.toml of the program: a link to that of the clone, and a file of its own beside a team's."""


def _folder(variable: str, *, xdg: str, default: str) -> Path:
    """Return the folder that `variable` names, else the project's folder in that of the XDG specification."""
    if folder := os.environ.get(variable):
        return Path(folder).expanduser().resolve()
    base = os.environ.get(xdg) or str(Path.home() / default)
    return Path(base) / PROJECT


def cache_dir() -> Path:
    """Return the folder of what can be built again: programs and images. `EPHEMERAL_DASK_CACHE` moves it."""
    return _folder("EPHEMERAL_DASK_CACHE", xdg="XDG_CACHE_HOME", default=".cache")


def state_dir() -> Path:
    """Return the folder of what is lost when it is removed: the local cluster and its Pulumi state.

    `EPHEMERAL_DASK_STATE` moves it.
    """
    return _folder("EPHEMERAL_DASK_STATE", xdg="XDG_STATE_HOME", default=".local/state")


def nearest_existing(path: Path) -> Path:
    """Return `path` itself, or the closest of its parents that exists: the file system that `path` will be on."""
    while not path.exists():
        path = path.parent
    return path
