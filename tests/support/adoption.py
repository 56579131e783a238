"""A team's repository of flows, which adopts the program by copier."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support import repository
from tools import locked_environment

PROJECT: Final = "acme-flows"

ALONE: Final[Mapping[str, str]] = {
    **{f"GIT_{role}_{key}": "tests" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "COPIER_SETTINGS_PATH": os.devnull,
}
"""Who commits; what a person has configured for git and for copier does not take part."""

FLOW: Final = """from prefect import flow, task

from acme.numbers import double
from ephemeral_dask import ephemeral_dask

double_task = task(double)


@flow(task_runner=ephemeral_dask())
def load(count: int = 3) -> int:
    return sum(double_task.map(range(count)).result())
"""

TEAM: Final[Mapping[str, str]] = {
    "README.md": "# The flows of Acme\n",
    "LICENSE": "Acme's own.\n",
    "pyproject.toml": (
        '[project]\nname = "acme"\nversion = "3"\ndependencies = ["humanize>=4"]\n\n'
        '[dependency-groups]\nflows = ["tabulate"]\n'
    ),
    "src/acme/__init__.py": "",
    "src/acme/numbers.py": "def double(number: int) -> int:\n    return 2 * number\n",
    "src/acme/load.py": FLOW,
    "tests/test_numbers.py": "def test_two() -> None:\n    pass\n",
    ".github/workflows/ci.yml": "on: push\njobs: {}\n",
    ".gitignore": "/.venv/\n/.build/\n__pycache__/\n",
    "prefect.yaml": (
        "pull: []\ndeployments:\n  - name: nightly\n    entrypoint: src/acme/load.py:load\n"
        "    schedules:\n      - {slug: nightly, cron: 0 3 * * *}\n    work_pool: {name: dask}\n"
    ),
}


def team(folder: Path) -> Path:
    """Make a folder the repository of a team, and return it."""
    for name, text in TEAM.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    # The rule in .gitignore is for a folder, and tests may have a link.
    repository.create(folder, exclude="/.venv")
    repository.commit(folder)
    return folder


def copier(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run copier in a folder."""
    program = locked_environment.programs("copier") / "copier"
    command = [str(program), *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **ALONE}, capture_output=True, text=True, check=False)


def copied(folder: Path, template: Path, *, tag: str = "v1.0.0", project: str = PROJECT) -> Path:
    """Copy a release of the program into a repository, and return it."""
    answers = ("--data", f"project={project}", "--data", "packages=[src/acme]")
    done = copier(folder, "copy", "--quiet", "--defaults", *answers, "--vcs-ref", tag, str(template), ".")
    assert done.returncode == 0, done.stderr
    return folder
