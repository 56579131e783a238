"""Python environments beside the project's own, each made from a lock of requirements/."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools import paths
from tools.errors import Problem


def programs(lock: str) -> Path:
    """Return the folder of an environment's programs. The environment is made once per lock.

    Args:
        lock: a file of requirements/, without its ending.

    Raises:
        Problem: the lock is not there. Those of tests and documentation are not copied into an adopted repository.

    """
    file = paths.ROOT / "requirements" / f"{lock}.txt"
    if not file.exists():
        raise Problem(
            f"requirements/{lock}.txt is missing, so what it locks cannot be installed",
            remedy="Run this in a clone of the program: a repository that has adopted it has no locks of its tests and"
            " documentation (docs/adopt.md)",
        )
    folder = paths.cache_dir() / lock / hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or str(paths.ROOT / ".venv" / "uv" / "bin" / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(folder / "bin" / "python")]
        subprocess.run([*install, "--compile-bytecode", "--requirement", str(file)], check=True)
        (folder / ".complete").touch()
    return folder / "bin"
