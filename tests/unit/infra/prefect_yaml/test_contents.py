from __future__ import annotations

from pathlib import Path

import pytest

from infra.prefect_yaml.contents import check_contents
from infra.specs.deployment import DeploymentSpec

LOCK = "requirements/flows.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "flows/__init__.py": "",
        "flows/one.py": "",
        "jobs/load.py": "from .dates import today",
        "jobs/dates.py": "",
        "src/acme/__init__.py": "",
        "src/acme/load.py": "",
        "top.py": "",
        "common/dates.py": "",
        LOCK: "numpy==2.0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def check(root: Path, entrypoint: str, *packages: str, **fields: object) -> list[str]:
    options = {"entrypoint": entrypoint, "location": "prefect.yaml:7", **fields}
    spec = DeploymentSpec(flow_name="one", name="default", **options)  # type: ignore[arg-type]  fields of the spec
    return check_contents([spec, spec], root, packages or ("flows",), key="image.flows.gpu", lock=LOCK)


@pytest.mark.parametrize(
    ("entrypoint", "start", "package"),
    [
        ("jobs/load.py:load", "jobs/load.py", "jobs"),
        ("jobs.load.load", "jobs/load.py", "jobs"),
        ("acme.load.load", "src/acme/load.py", "src/acme"),
        ("src/acme/load.py:load", "src/acme/load.py", "src/acme"),
        ("top.py:main", "top.py", "top.py"),
    ],
)
def test_an_entrypoint_outside_the_image_is_refused_with_the_line_to_write(
    entrypoint: str, start: str, package: str, root: Path
) -> None:
    [error] = check(root, entrypoint)
    assert error == (
        f"prefect.yaml:7: deployment 'one/default' starts in {start}, and the flow image holds flows only: move it"
        f" there, or set image.flows.gpu.packages to [flows, {package}]"
    )
    assert check(root, entrypoint, "flows", package) == []


@pytest.mark.parametrize(
    ("source", "file", "package"),
    [
        ("from common.dates import today", "common/dates.py", "common"),
        ("from common import dates", "common/dates.py", "common"),
        ("import acme.load", "src/acme/__init__.py", "src/acme"),
        ("import top", "top.py", "top.py"),
        ("from flows.helper import today", "common/dates.py", "common"),
    ],
)
def test_an_import_from_outside_the_image_is_refused(source: str, file: str, package: str, root: Path) -> None:
    (root / "flows" / "one.py").write_text(source)
    (root / "flows" / "helper.py").write_text("import common.dates")
    [error] = check(root, "flows.one.one")
    assert f", which is {file}, and the flow image holds flows only" in error
    assert error.endswith(f"set image.flows.gpu.packages to [flows, {package}]")
    assert check(root, "flows.one.one", "flows", package) == []


def test_each_folder_is_reported_once_and_every_folder_is(root: Path) -> None:
    (root / "flows" / "one.py").write_text("import common.dates, jobs.load, top")
    errors = check(root, "flows.one.one", "flows", "other")
    assert {error.rpartition(", ")[2] for error in errors} == {"common]", "top.py]", "jobs]"}
    assert all("holds flows and other only" in error for error in errors)


def test_an_import_that_a_flow_can_load_without_is_not_refused(root: Path) -> None:
    (root / "flows" / "one.py").write_text("def task():\n    import common.dates")
    assert check(root, "flows.one.one") == []


def test_a_project_that_its_own_lock_installs_need_not_be_in_the_image_as_files(root: Path) -> None:
    (root / LOCK).write_text("acme==1.0\n")
    (root / "flows" / "one.py").write_text("import acme.load")
    assert check(root, "flows.one.one") == []


@pytest.mark.parametrize(
    "fields", [{"pull_steps": ({"git_clone": {}},)}, {"job_variables": {"image": "registry.test/own"}}]
)
def test_a_deployment_with_its_own_code_or_image_is_not_checked(root: Path, fields: dict[str, object]) -> None:
    assert check(root, "jobs.load.load", **fields) == []


def test_an_entrypoint_outside_the_project_is_refused_without_a_folder_to_add(root: Path) -> None:
    (root / "project").mkdir()
    (root / "project" / "requirements").symlink_to(root / "requirements")
    [error] = check(root / "project", "../top.py:main")
    assert error.endswith("move it into the project")
