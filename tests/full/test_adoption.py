"""A team's repository of flows on the real cluster: it adopts the program, runs, and takes the next release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.clones import clone
from tests.e2e.newcomer import ROOT, Newcomer
from tests.full.test_patterns import result
from tests.full.test_runs import ended, logged
from tests.support import repository
from tests.support.adoption import copied, copier, team


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("template") / "clone")
    repository.git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture(scope="module")
def adopter(newcomer: Newcomer, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Provide a user whose stack is up from an adopted repository, with the stack of the tests in the end."""
    folder = copied(team(tmp_path_factory.mktemp("adopted")), template, project="ephemeral-dask")
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    repository.commit(folder)
    user = replace(newcomer, clone=folder)
    done = user.make("up")
    assert done.status == 0, done.progress
    yield user
    done = newcomer.make("up")
    assert done.status == 0, done.progress


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
    done = copier(adopter.clone, "update", "--quiet", "--defaults")
    assert done.returncode == 0, done.stderr
    assert "# The next release." in (adopter.clone / "Makefile").read_text()
    up = adopter.make("up")
    assert up.status == 0, up.progress
    runs(adopter)
