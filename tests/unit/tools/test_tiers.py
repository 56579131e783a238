"""A tier that fails or cannot run makes the whole test run fail, and the others run all the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import tiers
from tools.errors import Problem


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tiers that were run, of three: one passes, one fails, one cannot run."""
    names: list[str] = []

    def tier(name: str, outcome: bool | Problem) -> Callable[[], bool]:
        def run() -> bool:
            names.append(name)
            if isinstance(outcome, Problem):
                raise outcome
            return outcome

        return run

    made = {"good": True, "bad": False, "impossible": Problem("no Go", remedy="Install Go")}
    monkeypatch.setattr(tiers, "TIERS", {name: tier(name, outcome) for name, outcome in made.items()})
    return names


def test_only_tiers_that_all_pass_end_with_success(ran: list[str]) -> None:
    assert tiers.run(["good"]) == 0
    assert ran == ["good"]


def test_a_repository_without_the_programs_tests_refuses_to_run_them(
    ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "ROOT", tmp_path)
    with pytest.raises(Problem, match="not in a repository that has adopted it"):
        tiers.run(["good"])
    assert ran == []


@pytest.mark.parametrize("other", ["bad", "impossible"])
def test_a_tier_that_fails_or_cannot_run_fails_the_run_after_the_others(
    other: str, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiers.run([other, "good"]) == 1
    assert ran == [other, "good"]
    assert f"{other}: " in capsys.readouterr().err


GROUPED = """
import os
from pathlib import Path
import pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    with Path("workers").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def test_the_engine_tier_keeps_the_tests_of_a_group_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tiers._BY_TEST, "test_group.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    workers = (tmp_path / "workers").read_text().split()
    assert (len(workers), len(set(workers))) == (4, 1)
