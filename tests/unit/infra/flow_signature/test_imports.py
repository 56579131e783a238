from __future__ import annotations

from pathlib import Path

import pytest

from infra.flow_signature.imports import third_party_imports

ROOT = Path(__file__).parents[4]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("")
    return tmp_path


def imports(root: Path, source: str, module: str = "flows/one.py") -> list[tuple[str, str]]:
    path = root / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return [(each.module, each.name) for each in third_party_imports(path, root)]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import polars", ["polars"]),
        ("import polars as pl, numpy.linalg", ["polars", "numpy.linalg"]),
        ("from google.cloud import storage", ["google.cloud.storage"]),
        ("from polars import *", ["polars"]),
        ("class A:\n    import polars", ["polars"]),
        ("with open('x'):\n    import polars", ["polars"]),
        ("try:\n    import polars\nfinally:\n    import numpy", ["polars", "numpy"]),
        ("try:\n    import polars\nexcept ValueError:\n    import numpy", ["polars"]),
        ("try:\n    import polars\nexcept ImportError:\n    pass\nfinally:\n    import numpy", ["numpy"]),
    ],
)
def test_imports_that_always_run_are_listed(root: Path, source: str, names: list[str]) -> None:
    assert imports(root, source) == [("flows.one", name) for name in names]


@pytest.mark.parametrize(
    "source",
    [
        "import os, json.decoder\nfrom __future__ import annotations",
        "import ephemeral_dask\nfrom ephemeral_dask import ephemeral_dask",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import polars",
        "import sys\nif sys.platform == 'win32':\n    import polars",
        "try:\n    import polars\nexcept ImportError:\n    polars = None",
        "try:\n    import polars\nexcept (ValueError, ModuleNotFoundError):\n    import numpy",
        "try:\n    import polars\nexcept:\n    pass",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import polars",
        "def task():\n    import polars",
        "for name in ():\n    import polars",
    ],
)
def test_imports_that_a_flow_can_load_without_are_not_listed(root: Path, source: str) -> None:
    assert imports(root, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import flows.helper",
        "from flows import helper",
        "from flows.helper import anything",
        "from . import helper",
        "from .helper import anything",
        "from .sub import deeper",
        "from flows.sub.deeper import anything",
    ],
)
def test_the_projects_own_modules_are_followed(root: Path, source: str) -> None:
    (root / "flows" / "helper.py").write_text("import polars\nfrom flows import one\n")
    (root / "flows" / "sub").mkdir()
    (root / "flows" / "sub" / "__init__.py").write_text("")
    (root / "flows" / "sub" / "deeper.py").write_text("from ..helper import anything\n")
    assert imports(root, source) == [("flows.helper", "polars")]


def test_the_packages_of_a_flow_are_loaded_with_it(root: Path) -> None:
    (root / "flows" / "__init__.py").write_text("import polars\n")
    assert imports(root, "", "flows/sub/one.py") == [("flows", "polars")]


def test_packages_without_init_file_are_the_projects_own(root: Path) -> None:
    (root / "shared").mkdir()
    (root / "shared" / "helper.py").write_text("import polars\n")
    assert imports(root, "from shared import helper") == [("shared.helper", "polars")]


def test_modules_that_import_each_other_are_read_once(root: Path) -> None:
    (root / "flows" / "a.py").write_text("from flows import b, one\nimport polars\n")
    (root / "flows" / "b.py").write_text("from flows import a\n")
    assert imports(root, "from flows import a") == [("flows.a", "polars")]


def test_a_file_with_a_syntax_error_does_not_hide_the_other_imports(root: Path) -> None:
    (root / "flows" / "broken.py").write_text("def :\n")
    assert imports(root, "from flows import broken\nimport polars") == [("flows.one", "polars")]


def test_an_import_from_above_the_root_is_ignored(root: Path) -> None:
    assert imports(root, "from ................ import x\nimport polars") == [("flows.one", "polars")]


def test_a_file_beside_the_flow_is_reported_as_its_sibling(root: Path) -> None:
    (root / "flows" / "helper.py").write_text("")
    (root / "flows" / "one.py").write_text("import helper")
    [each] = third_party_imports(root / "flows" / "one.py", root)
    assert each.sibling == root / "flows" / "helper.py"


def test_the_sample_flows_import_only_known_libraries() -> None:
    tops = {each.top for file in (ROOT / "flows").glob("*.py") for each in third_party_imports(file, ROOT)}
    assert {"prefect"} <= tops <= {"dask", "distributed", "numpy", "prefect", "prefect_dask", "pydantic", "sklearn"}
