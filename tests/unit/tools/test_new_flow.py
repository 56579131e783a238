from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.prefect_yaml.load import load_deployments
from tools import new_flow
from tools.errors import Problem
from tools.paths import ROOT

ENTRY = {
    "name": "default",
    "entrypoint": "flows.daily_report.daily_report",
    "work_pool": {"name": "gpu"},
}
FIRST = "  - name: default\n    entrypoint: flows.a.a  # the first\n    work_pool: {name: dask}\n"
PROJECTS = {
    "as published": (ROOT / "prefect.yaml").read_text(),
    "without a list": "pull: []\n",
    "with keys after it": f"deployments:\n{FIRST}\n# Steps of all.\npull: []\n",
    "with a list that is not indented": "deployments:\n- name: default\n  entrypoint: flows.a.a\npull: []\n",
    "with a block scalar at its end": "deployments:\n  - name: default\n    entrypoint: flows.a.a\n"
    "    description: |\n      Two\n      lines.\n\npull: []\n",
    "without a newline at its end": f"deployments:\n{FIRST}".rstrip("\n"),
    "with a line like a comment at its end": "deployments:\n  - name: default\n    description: |\n      # Text\n",
    "with anchors": "definitions: &pool {name: dask}\ndeployments:\n  - name: default\n    work_pool: *pool\n",
}


@pytest.mark.parametrize("text", PROJECTS.values(), ids=list(PROJECTS))
def test_a_deployment_is_added_and_every_other_line_stays(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    before = (yaml.safe_load(text).get("deployments")) or []
    new_flow.plan("daily-report", "gpu", tmp_path).write()
    after = (tmp_path / "prefect.yaml").read_text()
    assert yaml.safe_load(after)["deployments"] == [*before, ENTRY]
    assert {**yaml.safe_load(after), "deployments": []} == {**yaml.safe_load(text), "deployments": []}
    rest = iter(after.splitlines())
    assert all(line in rest for line in text.splitlines()), after


def test_a_project_without_prefect_yaml_gets_one(tmp_path: Path) -> None:
    new_flow.plan("daily-report", "gpu", tmp_path).write()
    assert yaml.safe_load((tmp_path / "prefect.yaml").read_text()) == {"pull": [], "deployments": [ENTRY]}


def test_what_is_written_registers_passes_lint_and_its_own_test(tmp_path: Path) -> None:
    new = new_flow.plan("daily-report", "dask", tmp_path)
    assert new.deployment == "daily-report/default"
    new.write()
    [spec] = load_deployments(tmp_path / "prefect.yaml")
    assert spec.key == new.deployment
    (tmp_path / "flows" / "__init__.py").touch()
    (tmp_path / "ephemeral_dask").symlink_to(ROOT / "ephemeral_dask")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for command in (["ruff", "check", "flows", "tests"], ["pytest", "-q", "-p", "no:cacheprovider", "tests"]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", "Daily", "1st", "a b", "a.b", "class", "a--b", "-a", "ä", "double"])
def test_a_name_that_cannot_be_a_function_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"cannot be the name of a flow.*make new-flow NAME="):
        new_flow.plan(name, "dask", tmp_path)


@pytest.mark.parametrize("file", ["flows/daily_report.py", "tests/unit/flows/test_daily_report.py"])
def test_a_file_that_exists_is_not_overwritten(file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(Problem, match=f"{file} exists; nothing was written"):
        new_flow.plan("daily-report", "dask", tmp_path)


@pytest.mark.parametrize(
    "text", ["deployments: [{name: a, entrypoint: flows.a.a}]\n", "deployments: []\n", "deployments: x\n", "[]\n"]
)
def test_a_list_that_is_not_in_block_style_is_refused_with_the_entry_to_add(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(Problem, match=r"(?s)block style.*nothing was written.*entrypoint: flows\.daily_report"):
        new_flow.plan("daily-report", "dask", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prefect.yaml"]


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("deployments: [\n")
    with pytest.raises(Problem, match=r"prefect\.yaml is not valid YAML"):
        new_flow.plan("daily-report", "dask", tmp_path)
