from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from infra import validation
from infra.flow_signature import newer_python
from infra.prefect_yaml import python_version
from infra.prefect_yaml.load import DeploymentError
from infra.settings import Settings

STACK: dict[str, Any] = {"image": {"registry": "localhost:5001", "builder": "docker-build"}}
PREFECT_YAML = """\
deployments:
  - name: nightly
    entrypoint: flows.etl.etl
"""
NEWER = """\
type Id = int
from prefect import flow


@flow
def etl():
    pass
"""


def settings(**values: Any) -> Settings:
    return validation.load_settings({**STACK, **values}, stack="dev")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "etl.py").write_text(NEWER)
    (tmp_path / "prefect.yaml").write_text(PREFECT_YAML)
    (tmp_path / "requirements").mkdir()
    for name in ("flows.txt", "flows-3.13.txt"):
        (tmp_path / "requirements" / name).write_text(f"prefect==3.8.8 --hash=sha256:{'0' * 64}\n")
    return tmp_path


def test_newer_syntax_is_refused_with_both_versions_where_no_interpreter_can_parse_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newer_python, "_interpreters", lambda _: iter(()))
    newer_python._answer.cache_clear()
    image = {**STACK["image"], "flow": {"python": "3.13"}}
    with pytest.raises(
        DeploymentError,
        match=r"syntax error(.|\n)*with Python 3.11, and a flow image has Python 3.13(.|\n)*`python3.13`",
    ):
        validation.load_plan(project, settings(image=image), stack="dev")
    with pytest.raises(DeploymentError) as caught:
        validation.load_plan(project, settings(), stack="dev")
    assert "3.11" not in str(caught.value)


def test_newer_syntax_passes_for_an_image_with_that_python_and_for_no_other(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse_as(content: bytes, version: str) -> ast.Module:
        assert version == "3.13"
        return ast.parse(content.replace(b"type Id", b"Id"))

    monkeypatch.setattr(newer_python, "parse_as", parse_as)
    monkeypatch.setattr(python_version, "parse_as", parse_as)
    image = {**STACK["image"], "flows": {"new": {"python": "3.13"}}}
    new = settings(image=image, workPools={"dask": {"image": "new"}})
    assert validation.load_plan(project, new, stack="dev").deployments["dask"]
    both = settings(image=image, workPools={"dask": {}, "new": {"image": "new"}})
    with pytest.raises(
        DeploymentError,
        match=r"prefect.yaml:\d+: deployment '.*' loads flows/etl.py, and Python 3.11 of image.flow cannot: etl.py"
        r" line 1 has a syntax error \(.*\); correct it, or set image.flow.python",
    ):
        validation.load_plan(project, both, stack="dev")


def test_syntax_that_this_python_knows_and_an_older_one_in_the_image_does_not_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "etl.py"
    file.write_text("match 1:\n    case 1: ...\n")
    assert python_version._problem(file, "3.11") == ""
    assert python_version._problem(file, "3.9") == (
        "etl.py line 2: Pattern matching is only supported in Python 3.10 and greater"
    )
