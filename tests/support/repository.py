"""Git repositories that tests make."""

from __future__ import annotations

import subprocess
from pathlib import Path


def create(folder: Path, *, exclude: str = "") -> None:
    """Make a folder a repository.

    Args:
        folder: which may have files already.
        exclude: a pattern of files that are ignored, in addition to those of .gitignore.

    """
    git(folder, "init", "--quiet")
    if exclude:
        (folder / ".git" / "info" / "exclude").write_text(f"{exclude}\n")


def commit(folder: Path) -> None:
    """Commit everything in a repository."""
    git(folder, "add", "--all")
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
    git(folder, *identity, "commit", "--quiet", "--message", "tests")


def git(folder: Path, *words: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True)
