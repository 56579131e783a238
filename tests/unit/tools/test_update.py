from __future__ import annotations

from pathlib import Path

import pytest

from tools import locks, update
from tools.errors import Problem
from tools.paths import ROOT
from tools.update import Change

PROJECT = """\
[dependency-groups]
infra = ["pulumi==3.272.0", "prefect==3.8.8", "httpx"]
# A comment stays.
flows = ["prefect==3.8.8", "kubernetes==37.0.1", "numpy"]
"""
OLD = {"dev": "pulumi==3.272.0\nprefect==3.8.8\nkubernetes==37.0.1\nnumpy==2.0\ngone==1\n", "flows": "numpy==2.0\n"}
NEWEST = {"pulumi": "3.272.5", "prefect": "3.8.9", "kubernetes": "37.0.4", "numpy": "2.4", "httpx": "0.28"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "infra" / "package").mkdir(parents=True)
    (tmp_path / "infra" / "package" / "pyproject.toml").write_text(PROJECT)
    for name, text in OLD.items():
        (tmp_path / "requirements" / f"{name}.txt").write_text(text)
    return tmp_path


@pytest.fixture
def relaxed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for uv: the newest version, unless pyproject.toml pins another one. Return what was asked of it."""
    asked: list[str] = []

    def resolve_group(group: str, project: Path, folder: Path) -> None:
        text = project.read_text()
        asked.append(text)
        versions = {name: version for name, version in NEWEST.items() if f'"{name}==' not in text}
        versions |= update._pinned(text)
        (folder / f"{group}.txt").write_text("".join(f"{name}=={each}\n" for name, each in versions.items()))

    def resolve(project: Path, folder: Path) -> None:
        for group in OLD:
            resolve_group(group, project, folder)

    monkeypatch.setattr(locks, "resolve_group", resolve_group)
    monkeypatch.setattr(locks, "resolve", resolve)
    return asked


@pytest.mark.usefixtures("relaxed")
def test_locks_and_free_pins_are_raised_and_families_stay(root: Path) -> None:
    changes = update.update(root, ())
    text = (root / "infra" / "package" / "pyproject.toml").read_text()
    assert '"kubernetes==37.0.4"' in text
    assert text.count('"prefect==3.8.8"') == 2
    assert '"pulumi==3.272.0"' in text
    assert "# A comment stays." in text
    assert "numpy==2.4" in (root / "requirements" / "dev.txt").read_text()
    assert Change(package="kubernetes", file="pyproject.toml", before="37.0.1", after="37.0.4") in changes
    assert Change(package="gone", file="dev.txt", before="1", after="") in changes
    assert Change(package="httpx", file="dev.txt", before="", after="0.28") in changes


@pytest.mark.usefixtures("relaxed")
def test_a_family_that_is_named_is_raised_everywhere(root: Path) -> None:
    update.update(root, ["prefect"])
    text = (root / "infra" / "package" / "pyproject.toml").read_text()
    assert text.count('"prefect==3.8.9"') == 2
    assert '"pulumi==3.272.0"' in text


def test_a_pin_stays_within_its_series(root: Path, relaxed: list[str]) -> None:
    update.update(root, ["prefect"])
    assert '"prefect>=3.8.8,<3.9"' in relaxed[0]
    assert '"kubernetes>=37.0.1,<37.1"' in relaxed[0]
    assert '"pulumi==3.272.0"' in relaxed[0]


def test_nothing_changes_when_the_requirements_conflict(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def conflict(*_: object) -> None:
        raise Problem("dev.txt could not be resolved", remedy="Correct pyproject.toml")

    def newest(group: str, _: Path, folder: Path) -> None:
        (folder / f"{group}.txt").write_text("kubernetes==37.0.4\n")

    monkeypatch.setattr(locks, "resolve_group", newest)
    monkeypatch.setattr(locks, "resolve", conflict)
    with pytest.raises(Problem, match="could not be resolved"):
        update.update(root, ())
    assert (root / "infra" / "package" / "pyproject.toml").read_text() == PROJECT
    assert (root / "requirements" / "dev.txt").read_text() == OLD["dev"]


def test_an_unknown_family_is_refused_before_anything_is_resolved(root: Path) -> None:
    with pytest.raises(Problem, match=r"PINS names numpy\. Name some of prefect, dask, pulumi"):
        update.update(root, ["numpy"])


def test_every_family_is_one_of_this_projects_pins() -> None:
    pinned = set(update._pinned((ROOT / "pyproject.toml").read_text()))
    assert {package for packages in update.FAMILIES.values() for package in packages} <= pinned


def test_a_change_is_shown_once_with_the_files_that_have_it() -> None:
    changes = [
        Change(package="numpy", file="flows.txt", before="2.0", after="2.4"),
        Change(package="numpy", file="dev.txt", before="2.0", after="2.4"),
        Change(package="gone", file="dev.txt", before="1", after=""),
    ]
    shown = update.page(changes, ["dask"]).splitlines()
    assert shown[:2] == ["  gone 1 -> gone: dev.txt", "  numpy 2.0 -> 2.4: dev.txt, flows.txt"]
    assert any("PINS=prefect raises them" in line for line in shown)
    assert any(line.startswith("  dask, distributed, ") and "upstream.py" in line for line in shown)
    assert update.page([], ()).startswith("  Nothing is newer.")
