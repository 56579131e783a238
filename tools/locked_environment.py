"""Python environments beside the project's own, each made from a lock of requirements/."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools import paths


def programs(lock: str) -> Path:
    """Return the folder of an environment's programs. The environment is made once per lock.

    Args:
        lock: a file of requirements/, without its ending.

    """
    file = paths.ROOT / "requirements" / f"{lock}.txt"
    folder = paths.cache_dir() / lock / hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or str(paths.ROOT / ".venv" / "uv" / "bin" / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(folder / "bin" / "python")]
        subprocess.run([*install, "--compile-bytecode", "--requirement", str(file)], check=True)
        (folder / ".complete").touch()
    return folder / "bin"
