from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from ephemeral_dask.lean import releases
from tools.paths import ROOT


@pytest.fixture(autouse=True)
def uncached() -> Iterator[None]:
    releases.untested.cache_clear()
    yield
    releases.untested.cache_clear()


def test_the_installed_releases_are_tested_ones() -> None:
    assert releases.untested() is None


def test_the_tested_range_is_the_one_that_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for package, (first, end) in releases.TESTED.items():
        dotted = [".".join(str(number) for number in numbers) for numbers in (first, end)]
        assert f"{package}>={dotted[0]},<{dotted[1]}" in project["dependencies"]


@pytest.mark.parametrize(
    ("installed", "answer"),
    [
        ("3.8.7", "prefect 3.8.7"),
        ("3.8.8", None),
        ("3.8.12.dev1", None),
        ("3.9.0rc1", "prefect 3.9.0rc1"),
        ("4.0", "prefect 4.0"),
    ],
)
def test_a_release_outside_the_range_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: str, answer: str | None
) -> None:
    monkeypatch.setattr(releases, "version", lambda package: installed if package == "prefect" else "0.3.7")
    assert releases.untested() == answer
