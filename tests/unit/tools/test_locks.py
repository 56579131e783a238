from __future__ import annotations

from pathlib import Path

import pytest

from tools import locks


@pytest.fixture
def adopted(tmp_path: Path) -> Path:
    (tmp_path / "infra" / "package").mkdir(parents=True)
    (tmp_path / "infra" / "package" / "pyproject.toml").write_text('[dependency-groups]\nflows = ["prefect"]\n')
    return tmp_path


def test_here_the_groups_have_nothing_else() -> None:
    assert locks.of_team("flows") == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("[tool.ruff]\n", []),
        ('[project]\nname = "acme"\nversion = "1"\n', ["{}"]),
        ("[dependency-groups]\nflows = []\ndev = []\n", ["--group", "{}:flows"]),
    ],
)
def test_a_team_adds_the_dependencies_of_its_project_and_its_group_flows(
    text: str, arguments: list[str], adopted: Path
) -> None:
    file = adopted / "pyproject.toml"
    assert locks.of_team("flows", adopted) == []
    file.write_text(text)
    for group in ("flows", "dev", "data"):
        assert locks.of_team(group, adopted) == [each.format(file) for each in arguments]
    assert locks.of_team("platform", adopted) == []


@pytest.mark.parametrize("here", [True, False])
def test_the_lock_of_the_documentation_is_written_only_where_there_is_one(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[str] = []
    monkeypatch.setattr(locks, "_FOLDER", tmp_path)
    monkeypatch.setattr(locks, "resolve_group", lambda group, *_, **__: groups.append(group))
    if here:
        (tmp_path / "docs.txt").touch()
    locks.resolve()
    assert ("docs" in groups) == here
    assert set(locks.GROUPS) - {"docs"} <= set(groups)
