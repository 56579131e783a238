"""Where this project keeps what it makes outside the clone."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = "ephemeral-dask"
ROOT = Path(__file__).resolve().parent.parent
"""The clone."""


def _xdg(variable: str, own: str, fallback: str) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get(variable) or str(Path.home() / fallback)
    return Path(base) / PROJECT


def cache_dir() -> Path:
    """Things that can be made again: built tools, images. `EPHEMERAL_DASK_CACHE` moves it."""
    return _xdg("XDG_CACHE_HOME", "EPHEMERAL_DASK_CACHE", ".cache")


def state_dir() -> Path:
    """Things that are lost when removed: the local cluster and its Pulumi state. `EPHEMERAL_DASK_STATE` moves it."""
    return _xdg("XDG_STATE_HOME", "EPHEMERAL_DASK_STATE", ".local/state")
