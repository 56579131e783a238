"""What the images say, and that each workaround in them is still needed."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import PurePath
from zoneinfo import reset_tzpath

import pytest
from prefect.server.schemas.schedules import CronSchedule
from uvicorn import Config

from infra.settings import DockerBuild
from tools.paths import ROOT

DOCKERFILES = {"Dockerfile": ".dockerignore", "Dockerfile.platform": "Dockerfile.platform.dockerignore"}


def context(dockerfile: str) -> set[str]:
    """Return the tracked files of a build context; of an ignore file the last pattern that fits decides."""
    lines = (ROOT / DOCKERFILES[dockerfile]).read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {file for file in tracked if not _ignored(file, patterns)}


def _ignored(file: str, patterns: list[str]) -> bool:
    ignored = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if any(fnmatch(part, bare) for part in (file, *map(str, PurePath(file).parents))):
            ignored = not pattern.startswith("!")
    return ignored


def copied(dockerfile: str) -> set[str]:
    """Return what a Dockerfile copies from its build context."""
    lines = re.findall(r"^COPY ((?:--link )?)(?!--)(.+)$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    names = [name for _, line in lines if "--from" not in line for name in line.split()[:-1]]
    return {"requirements/flows.txt" if name == "${REQUIREMENTS}" else name for name in names}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_a_build_context_is_what_its_dockerfile_copies(dockerfile: str) -> None:
    files, sources = context(dockerfile), copied(dockerfile)
    for source in sources:
        assert any(PurePath(file).is_relative_to(source) for file in files), f"{source} is not in the context"
    others = {file for file in files if not any(PurePath(file).is_relative_to(source) for source in sources)}
    assert {file for file in others if not file.startswith("requirements/")} == set()


def test_neither_a_flow_nor_the_runtime_is_part_of_the_platform_image() -> None:
    files = context("Dockerfile.platform")
    assert not {file for file in files if file.startswith("flows/")}
    assert {file for file in files if file.startswith("ephemeral_dask/") and "/contract/" not in file} == {
        "ephemeral_dask/__init__.py"
    }
    assert not {file for file in files if file in ("pyproject.toml", "Dockerfile", "prefect.yaml", ".prefectignore")}


@pytest.mark.parametrize("name", ["gpu.txt", "flows.txt", "team-b.v2.txt"])
def test_the_packages_of_a_flow_image_may_be_any_lock_beside_our_own(name: str) -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert not _ignored(f"requirements/{name}", patterns)
    image = DockerBuild.model_validate(
        {"registry": "r", "flows": {"other": {"requirements": f"requirements/{name}"}}}, by_alias=True
    )
    assert image.flows["other"].requirements == f"requirements/{name}"


@pytest.mark.parametrize("name", ["locks/gpu.txt", "requirements/dev.txt", "../gpu.txt", "requirements/a/b.txt"])
def test_packages_that_the_build_cannot_find_are_refused_with_the_folder_to_use(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape("requirements/<name>.txt")):
        DockerBuild.model_validate({"registry": "r", "flow": {"requirements": name}}, by_alias=True)


def test_both_images_run_on_the_same_system() -> None:
    stages = [
        (ROOT / name).read_text().split("FROM ${BASE} AS runtime\n")[1].split("\n\n\n")[0] for name in DOCKERFILES
    ]
    assert stages[0] == stages[1]


def test_the_server_still_lists_all_timezones_for_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def listed() -> set[str]:
        asked.append(True)
        return {"UTC"}

    monkeypatch.setattr("prefect.types._datetime.available_timezones", listed)
    for _ in range(3):
        CronSchedule(cron="0 3 * * *", timezone="UTC")
    assert len(asked) >= 3, "delete PYTHONTZPATH from Dockerfile.platform and from benchmarks/server.py"


def test_without_a_system_folder_the_timezones_are_those_of_the_tzdata_package() -> None:
    assert "PYTHONTZPATH=\n" in (ROOT / "Dockerfile.platform").read_text()
    try:
        reset_tzpath(())
        assert CronSchedule(cron="0 3 * * *", timezone="Europe/Berlin").timezone == "Europe/Berlin"
    finally:
        reset_tzpath()


def test_the_server_runs_on_the_event_loop_that_the_platform_image_adds() -> None:
    assert re.search(r"^uvloop==", (ROOT / "requirements" / "platform.txt").read_text(), re.MULTILINE)
    factory = Config("prefect's own leaves the choice to uvicorn").get_loop_factory()
    assert factory is not None
    assert factory.__module__ == "uvloop"


def test_every_build_secret_is_mounted_where_no_layer_keeps_it_and_is_optional() -> None:
    texts = "".join((ROOT / name).read_text() for name in DOCKERFILES)
    mounts = re.findall(r"--mount=type=secret,(\S+)", texts)
    assert {re.sub(r"id=(\w+),.*", r"\1", each) for each in mounts} == {"ca", "netrc"}
    assert all(",target=/run/" in each and each.endswith(",required=false") for each in mounts)
