"""What is on a stack's result volume."""

from __future__ import annotations

import json
import shlex
from typing import Final

from tests.e2e.newcomer import RUNS, Newcomer

_FILES: Final = "from pathlib import Path; files = [each for each in Path('/results').rglob('*') if each.is_file()]"
LIST: Final = f"{_FILES}; print(*sorted(str(each.relative_to('/results')) for each in files))"
DELETE: Final = f"{_FILES}; [each.unlink() for each in files]"
"""Folders stay: live runs have those of their deployments mounted."""

_IN_A_POD: Final = """
import os, subprocess, sys
from tools.backup.pods import Kubectl
with Kubectl(namespace=sys.argv[1], environment=os.environ).pod(
    "results", "/results", image=sys.argv[2], account="dask", read_only=False
) as pod:
    subprocess.run([*pod.command, "-c", sys.argv[3]], check=True)
"""
"""Its arguments: namespace, image and script."""


def on_results(newcomer: Newcomer, script: str, *, namespace: str = RUNS) -> str:
    """Run Python in a pod with the result volume at /results, and return its output."""
    image = json.loads(newcomer.shell("pulumi stack output --json").output)["platformImage"]
    done = newcomer.shell(f".venv/bin/python -c {shlex.join([_IN_A_POD, namespace, image, script])}")
    assert done.status == 0, done.progress
    return done.output
