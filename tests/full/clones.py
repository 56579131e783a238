"""A clone of the files as they are, for somebody who edits them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.e2e.newcomer import ROOT


def clone(folder: Path) -> Path:
    """Copy every file that belongs to the project, with times of its own, and return the folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder
