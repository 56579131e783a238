from __future__ import annotations

from pathlib import Path

import pytest

from infra.prefect_yaml.imports import check_imports
from infra.specs.deployment import DeploymentSpec

LOCK = "requirements/flows.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / LOCK).write_text("numpy==2.0 \\\n    --hash=sha256:aa\n")
    return tmp_path


def check(
    root: Path, source: str, *, provided: tuple[str, ...] = (), packages: tuple[str, ...] = (".",), **fields: object
) -> tuple[list[str], list[str]]:
    """Return errors and warnings of one deployment."""
    (root / "flows" / "one.py").write_text(source)
    values = {"entrypoint": "flows.one.one", "location": "prefect.yaml:70", **fields}
    spec = DeploymentSpec(flow_name="one", name="default", **values)  # type: ignore[arg-type]  fields of the spec
    warnings: list[str] = []
    options = {"warn": warnings.append, "provided": provided, "packages": packages}
    return check_imports([spec, spec], root, LOCK, **options), warnings  # type: ignore[arg-type]  as above


@pytest.mark.parametrize("entrypoint", ["flows.one.one", "flows/one.py:one", "flows.one:Class.one"])
def test_a_missing_library_is_reported_once_with_location_lock_and_group(root: Path, entrypoint: str) -> None:
    errors, warnings = check(root, "import polars\nimport polars.selectors\nimport numpy", entrypoint=entrypoint)
    [error] = errors
    assert error == (
        "prefect.yaml:70: flows.one imports polars, which requirements/flows.txt lacks:"
        " add it to the group flows and run make lock"
    )
    assert warnings == []


def test_the_distribution_is_named_if_it_differs_from_the_import(root: Path) -> None:
    [error], _ = check(root, "from sklearn import svm")
    assert "flows.one imports sklearn (scikit-learn), which requirements/flows.txt lacks" in error


def test_the_module_with_the_import_is_named_and_not_the_flows_own(root: Path) -> None:
    (root / "flows" / "helper.py").write_text("import polars")
    [error], _ = check(root, "from flows import helper")
    assert error.startswith("prefect.yaml:70: flows.helper imports polars")


def test_a_library_whose_distribution_cannot_be_determined_is_only_a_warning(root: Path) -> None:
    (root / LOCK).write_text("numpy==2.0\nnot-installed-here==1.0\n")
    errors, warnings = check(root, "import a_library_of_the_team")
    assert errors == []
    assert "flows.one imports a_library_of_the_team (a-library-of-the-team)" in warnings[0]


@pytest.mark.parametrize(
    "fields", [{"pull_steps": ({"git_clone": {}},)}, {"job_variables": {"image": "registry.test/own"}}]
)
def test_a_deployment_with_its_own_code_or_image_is_not_checked(root: Path, fields: dict[str, object]) -> None:
    assert check(root, "import polars", **fields) == ([], [])


def test_a_library_that_the_dockerfile_installs_can_be_declared(root: Path) -> None:
    assert check(root, "import polars", provided=("polars",)) == ([], [])


def test_an_import_of_a_file_beside_the_flow_has_its_own_remedy(root: Path) -> None:
    (root / "flows" / "helper.py").write_text("")
    [error], _ = check(root, "import helper")
    assert "imports helper, which is flows/helper.py" in error
    assert "write from flows import helper" in error


@pytest.mark.parametrize(
    "change",
    [
        "sys.path.insert(0, os.path.dirname(__file__))",
        "sys.path.append('lib')",
        "sys.path += ['lib']",
        "sys.path[:0] = ['lib']",
        "def put():\n    sys.path.extend(['lib'])\nput()",
    ],
)
@pytest.mark.parametrize("folder", ["flows", "flows/lib", "shared/deep"])
def test_an_import_from_a_path_that_the_flow_adds_is_a_warning_with_the_other_way(
    root: Path, change: str, folder: str
) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "helper.py").write_text("")
    errors, warnings = check(root, f"import os, sys\n{change}\nfrom helper import Row")
    assert errors == []
    dotted = folder.replace("/", ".")
    assert warnings[0] == (
        f"prefect.yaml:70: flows.one imports helper, which is {folder}/helper.py, from a sys.path that it changes: a"
        f" Dask worker finds it only after it has imported flows.one; write from {dotted} import helper."
    )


def test_an_import_from_a_folder_that_the_image_does_not_hold_is_an_error(root: Path) -> None:
    for folder in ("flows", "lib"):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / f"helper_of_{folder}.py").write_text("")
    source = "import sys\nsys.path.insert(0, 'lib')\nimport helper_of_flows\nimport helper_of_lib"
    [error], [warning, _] = check(root, source, packages=("flows",))
    assert (
        "flows.one imports helper_of_lib, which is lib/helper_of_lib.py, and the flow image holds flows only" in error
    )
    assert "helper_of_flows" in warning


def test_a_library_is_missing_whatever_the_flow_adds_to_the_path(root: Path) -> None:
    [error], warnings = check(root, "import sys\nsys.path.insert(0, 'lib')\nimport polars")
    assert "flows.one imports polars, which requirements/flows.txt lacks" in error
    assert warnings == []


def test_a_lock_that_does_not_exist_is_an_error(root: Path) -> None:
    (root / LOCK).unlink()
    [error], _ = check(root, "import numpy")
    assert error.startswith("requirements/flows.txt does not exist")
