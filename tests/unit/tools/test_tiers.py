"""A tier that fails or cannot run makes the whole test run fail, and the others run all the same."""

from __future__ import annotations

from collections.abc import Callable

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


@pytest.mark.parametrize("other", ["bad", "impossible"])
def test_a_tier_that_fails_or_cannot_run_fails_the_run_after_the_others(
    other: str, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiers.run([other, "good"]) == 1
    assert ran == [other, "good"]
    assert f"{other}: " in capsys.readouterr().err
