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
