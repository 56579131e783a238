"""No test that starts a cluster runs unless its tier is named, and every test belongs to a tier."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest

ROOT = Path(__file__).parents[2]


def command_line(*arguments: str, marker: str = "") -> Any:
    return SimpleNamespace(
        args=list(arguments),
        invocation_params=SimpleNamespace(dir=ROOT),
        option=SimpleNamespace(markexpr=marker),
    )


def test_pytest_without_arguments_runs_the_unit_tier() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["tests/unit"]


@pytest.mark.parametrize("tier", conftest.NAMED_ONLY)
def test_a_tier_that_takes_over_the_machine_runs_only_when_it_is_named(tier: str) -> None:
    assert not conftest.named(command_line("tests"), tier)
    assert not conftest.named(command_line("."), tier)
    assert conftest.named(command_line(f"tests/{tier}"), tier)
    assert conftest.named(command_line(f"tests/{tier}/test_x.py::test_y"), tier)
    assert conftest.named(command_line("tests", marker=tier), tier)


def test_a_test_belongs_to_the_tier_of_its_folder_and_one_elsewhere_is_refused() -> None:
    assert conftest.tier_of(conftest.TESTS / "unit" / "infra" / "test_x.py") == "unit"
    assert conftest.tier_of(Path("/elsewhere/test_x.py")) is None
    with pytest.raises(pytest.UsageError, match="belongs to no tier"):
        conftest.tier_of(conftest.TESTS / "support" / "test_x.py")
