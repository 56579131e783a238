"""Clones of the files as they are now, for users who edit them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.support import repository
from tools import paths

PROJECT: Final = Path(__file__).parents[1] / "project"
"""Flows of the tests and their prefect.yaml, so that the sample flows may change or go."""

PENDING_TIMEOUT: Final = 120
"""Seconds that a run of the tests' own stacks may be Pending: a test waits for it."""


SMALL_DISK: Final = {"scratchSize": "64Mi"}
"""The profile `small-disk` of the tests' own stacks: less than the flow `hoarding` writes."""


def clone(folder: Path, source: Path = paths.ROOT) -> Path:
    """Copy every file that belongs to the project into a repository of its own, and return its folder.

    Times are not copied. The Python environment is the source's.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=source, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (source / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name, follow_symlinks=False)
            shutil.copymode(source / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to((source / ".venv").resolve())
    _commit(folder)
    return folder


def with_own_flows(folder: Path) -> Path:
    """Replace the sample flows of a clone by those of the tests, and return its folder."""
    shutil.rmtree(folder / "flows")
    shutil.copytree(PROJECT / "flows", folder / "flows")
    shutil.copyfile(PROJECT / "prefect.yaml", folder / "prefect.yaml")
    for file in folder.glob("Pulumi.*.yaml"):
        content = yaml.safe_load(file.read_text())
        # Settings of single deployments, which are the sample flows'.
        content["config"].pop("ephemeral-dask:deployments", None)
        content["config"].setdefault("ephemeral-dask:flowRun", {})["pendingTimeout"] = PENDING_TIMEOUT
        content["config"].setdefault("ephemeral-dask:dask", {}).setdefault("profiles", {})["small-disk"] = SMALL_DISK
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    _commit(folder)
    return folder


def changes(folder: Path) -> str:
    """Return what git sees as changed in a clone."""
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _commit(folder: Path) -> None:
    # The rule in .gitignore is for a folder, and this is a link.
    repository.create(folder, exclude="/.venv")
    repository.commit(folder)
