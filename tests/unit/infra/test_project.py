from __future__ import annotations

from pathlib import Path

import pytest

from infra import project


@pytest.mark.parametrize("line", ["name: acme-flows", 'name: "acme-flows"', "name:   acme-flows  # ours"])
def test_the_name_is_that_in_pulumi_yaml(line: str, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"runtime:\n  name: python\n{line}\n")
    assert project.name(tmp_path) == "acme-flows"


def test_a_pulumi_yaml_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("runtime:\n  name: python\n")
    with pytest.raises(LookupError, match="no `name`"):
        project.name(tmp_path)


@pytest.mark.parametrize("name", ["pyproject.toml", "LICENSE"])
def test_what_the_wheel_is_built_from_is_one_file_in_this_repository(name: str) -> None:
    assert (project.ROOT / project.PACKAGE / name).samefile(project.ROOT / name)
