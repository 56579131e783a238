"""ephemeral_dask as a package of its own: what it exports, what its wheel holds, and what it says that it needs."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ephemeral_dask
from ephemeral_dask.contract import knobs
from ephemeral_dask.settings import CodeSizes
from tools.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / "flows.txt").read_text(), re.MULTILINE))
DISTRIBUTIONS = {"prefect_dask": "prefect-dask", "dask_kubernetes": "dask-kubernetes"}
"""Import name -> distribution, where they differ."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv") or str(Path(sys.prefix) / "uv" / "bin" / "uv")
    folder = tmp_path_factory.mktemp("wheel")
    # Offline, as in the Dockerfile: uv is its own build backend.
    subprocess.run([uv, "build", "--quiet", "--offline", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    [file] = folder.glob("*.whl")
    return file


def test_the_public_names_and_signatures_are_pinned() -> None:
    assert ephemeral_dask.__all__ == ["ephemeral_dask", "large_workers"]
    assert str(inspect.signature(ephemeral_dask.ephemeral_dask)) == (
        "(*, minimum: 'int | None' = None, maximum: 'int | None' = None, worker_cpu: 'str | float | None' = None, "
        "worker_memory: 'str | int | None' = None, worker_threads: 'int | None' = None, "
        "idle_timeout: 'int | None' = None, start_timeout: 'int | None' = None, "
        "scaling: 'str | None' = None, report: 'str | None' = None, "
        "restarts: 'int | None' = None, profile: 'str | None' = None) -> 'TaskRunner[PrefectFuture[Any]]'"
    )
    assert str(inspect.signature(ephemeral_dask.large_workers)) == "() -> 'AbstractContextManager[None]'"


def test_the_arguments_of_ephemeral_dask_are_the_knobs_of_the_table() -> None:
    arguments = {knob.argument for knob in knobs.JOB_VARIABLES}
    assert set(inspect.signature(ephemeral_dask.ephemeral_dask).parameters) == arguments
    assert set(CodeSizes.__dataclass_fields__) == arguments
    for argument in arguments:
        assert f"\n        {argument}: " in str(ephemeral_dask.ephemeral_dask.__doc__) + "\n"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"ephemeral_dask-{PROJECT['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {"ephemeral_dask", metadata}
    assert {"ephemeral_dask/py.typed", "ephemeral_dask/contract/knobs.py", f"{metadata}/licenses/LICENSE"} <= set(names)


def printed(script: str, wheel: Path, folder: Path) -> str:
    """Install the wheel into a folder, run a script with it there, and return what the script prints."""
    zipfile.ZipFile(wheel).extractall(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment).stdout


def test_a_flow_imports_the_installed_package_without_pulumi_and_the_clone(wheel: Path, tmp_path: Path) -> None:
    script = (
        "import sys, importlib.metadata\n"
        "from ephemeral_dask import ephemeral_dask, large_workers\n"
        "import ephemeral_dask as package\n"
        "assert 'pulumi' not in sys.modules\n"
        "print(package.__file__, importlib.metadata.version('ephemeral-dask'))"
    )
    assert printed(script, wheel, tmp_path).split() == [
        str(tmp_path / "ephemeral_dask" / "__init__.py"),
        PROJECT["version"],
    ]


def test_dask_takes_the_sizes_of_results_from_the_installed_package_without_importing_prefect(
    wheel: Path, tmp_path: Path
) -> None:
    script = (
        "import sys\n"
        "from dask.sizeof import sizeof\n"
        "assert 'ephemeral_dask.result_sizes' in sys.modules\n"
        "assert not {'prefect', 'ephemeral_dask.runner'} & set(sys.modules)\n"
        "from prefect.states import Completed\n"
        "print(sizeof(Completed(data=bytes(10**6))))"
    )
    assert int(printed(script, wheel, tmp_path)) > 10**6


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_declared_range_begins_at_the_version_that_the_tests_run_with(name: str) -> None:
    specifiers = REQUIREMENTS[name].specifier
    assert LOCKED[name] in specifiers
    assert any(each.operator in ("<", "<=") for each in specifiers), "a range needs an upper bound"
    floors = [each.version for each in specifiers if each.operator == ">="]
    assert floors == [LOCKED[name]] or (not floors and name in ("fastapi", "sqlalchemy"))


def test_every_library_that_the_package_imports_is_declared() -> None:
    imported = set()
    for file in (ROOT / "ephemeral_dask").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    libraries = imported - set(sys.stdlib_module_names) - {"ephemeral_dask"}
    assert {DISTRIBUTIONS.get(name, name) for name in libraries} <= set(REQUIREMENTS)


def test_the_caps_of_the_wheel_are_those_of_the_locks() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for group in ("flows", "platform"):
        locked = {each.name: each.specifier for each in map(Requirement, groups[group])}
        assert {name: locked[name] for name in ("fastapi", "sqlalchemy")} == {
            name: REQUIREMENTS[name].specifier for name in ("fastapi", "sqlalchemy")
        }
