from __future__ import annotations

from pathlib import Path

import pytest

from infra.flow_signature.source import find
from infra.prefect_yaml.entrypoint import module_form

FLOW = """
from prefect import flow

@flow
def main(): ...

class Group:
    @staticmethod
    @flow
    def inner(): ...
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "flows/__init__.py",
        "flows/sales.py",
        "flows/sub/deep.py",
        "flows/my-flow.py",
        "top.py",
        "src/acme/load.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FLOW)
    return tmp_path


@pytest.mark.parametrize(
    ("entrypoint", "module"),
    [
        ("flows/sales.py:main", "flows.sales.main"),
        ("./flows/sub/../sales.py:main", "flows.sales.main"),
        ("flows/sub/deep.py:main", "flows.sub.deep.main"),
        ("flows/__init__.py:main", "flows.main"),
        ("flows/my-flow.py:main", "flows.my-flow.main"),
        ("top.py:main", "top.main"),
        ("src/acme/load.py:main", "acme.load.main"),
        ("flows/sales.py:Group.inner", "flows.sales:Group.inner"),
    ],
)
def test_a_file_is_registered_as_the_module_that_it_is(entrypoint: str, module: str, root: Path) -> None:
    assert module_form(entrypoint, root) == module
    assert find(module, root).function == find(entrypoint, root).function
    assert find(module, root).path.samefile(find(entrypoint, root).path)


@pytest.mark.parametrize("entrypoint", ["flows.sales.main", "flows.sales:Group.inner", "other/v1.2/a.py:main"])
def test_an_entrypoint_without_a_module_name_stays_as_it_is(entrypoint: str, root: Path) -> None:
    assert module_form(entrypoint, root) == entrypoint


def test_a_folder_src_that_is_a_package_itself_is_part_of_the_name(root: Path) -> None:
    (root / "src" / "__init__.py").write_text("")
    assert module_form("src/acme/load.py:main", root) == "src.acme.load.main"


def test_a_file_that_a_package_of_its_name_hides_stays_a_file(root: Path) -> None:
    (root / "flows" / "sales").mkdir()
    (root / "flows" / "sales" / "__init__.py").write_text("")
    assert module_form("flows/sales.py:main", root) == "flows/sales.py:main"


def test_a_file_outside_the_project_stays_a_file(root: Path) -> None:
    assert module_form("../sales.py:main", root / "flows" / "sub") == "../sales.py:main"
