"""A team's repository of flows on the real cluster, by the commands of docs/adopt.md: it adopts the program and runs.

Then it takes the next release, and runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests import howtos
from tests.e2e.clones import clone
from tests.e2e.newcomer import Newcomer
from tests.full.test_patterns import result
from tests.full.test_runs import ended, logged
from tests.support import repository
from tests.support.adoption import ALONE, team
from tools import locked_environment

PAGE: Final = "docs/adopt.md"
ANSWERS: Final = "--defaults --data project=ephemeral-dask --data 'packages=[src/acme]'"
"""Copier asks for these; the project is that of the stack whose cluster this is."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("template") / "clone")
    repository.git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture(scope="module")
def adopter(newcomer: Newcomer, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Provide a user whose stack is up from an adopted repository, with the stack of the tests in the end.

    Their repository has an environment of its own, because `make` installs its lock there.
    """
    path = os.pathsep.join([str(locked_environment.programs("copier")), newcomer.environment["PATH"]])
    environment = {**newcomer.environment, **ALONE, "PATH": path}
    user = replace(newcomer, clone=team(tmp_path_factory.mktemp("adopted")), environment=environment)
    copy, lock, deploy, _ = howtos.blocks(PAGE)
    program = "copier copy https://github.com/acme/ephemeral-dask.git"
    assert program in copy
    types(user, copy.replace(program, f"copier copy {ANSWERS} {template}"))
    types(user, lock)
    assert "humanize==" in (user.clone / "requirements" / "flows.txt").read_text()
    repository.commit(user.clone)
    types(user, deploy)
    yield user
    done = newcomer.make("up")
    assert done.status == 0, done.progress


def types(user: Newcomer, block: str) -> None:
    done = user.type(block)
    assert done.status == 0, done.output + done.progress


def runs(user: Newcomer) -> None:
    run = user.start("load/nightly")
    assert ended(user, run) == "COMPLETED", logged(user, run)
    assert result(user, run) == 6


def test_an_adopted_repository_runs_its_flows_before_and_after_an_update(adopter: Newcomer, template: Path) -> None:
    runs(adopter)
    for name in ("Makefile", "infra/capacity.py"):
        file = template / name
        file.write_text(f"{file.read_text()}\n# The next release.\n")
    repository.commit(template)
    repository.git(template, "tag", "v1.1.0")
    *_, update = howtos.blocks(PAGE)
    types(adopter, update.replace("copier update", "copier update --defaults"))
    assert "# The next release." in (adopter.clone / "Makefile").read_text()
    types(adopter, "make up")
    runs(adopter)
