"""What the images say, and that each workaround in them is still needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import PurePath
from zoneinfo import reset_tzpath

import pytest
from prefect.server.schemas.schedules import CronSchedule
from uvicorn import Config

from infra.components.build_context import CA_BUNDLE, flow, platform
from infra.settings import DockerBuild, FlowBuild
from tools.locks import FLOW_PYTHONS
from tools.paths import ROOT

DOCKERFILES = ("Dockerfile", "Dockerfile.platform")


def copied(dockerfile: str) -> set[str]:
    """Return what a Dockerfile copies from its build context, but for the certificates that only some networks need."""
    lines = re.findall(r"^COPY (?!--)(.+)$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    return {name for line in lines for name in line.split()[:-1] if not fnmatch(CA_BUNDLE, name)}


@pytest.mark.parametrize(
    ("dockerfile", "sources"), [("Dockerfile", flow(FlowBuild())), ("Dockerfile.platform", platform())]
)
def test_a_build_context_is_what_its_dockerfile_copies(dockerfile: str, sources: Mapping[str, str]) -> None:
    names = copied(dockerfile)
    assert {name for name in names if not any(PurePath(each).is_relative_to(name) for each in sources)} == set()
    others = {each for each in sources if not any(PurePath(each).is_relative_to(name) for name in names)}
    assert others == {"Dockerfile"}
    assert all((ROOT / source).exists() for source in sources.values())


def test_neither_a_flow_nor_the_runtime_is_part_of_the_platform_image() -> None:
    assert set(platform().values()) == {
        "Dockerfile.platform",
        "requirements/uv.txt",
        "requirements/platform.txt",
        "ephemeral_dask/__init__.py",
        "ephemeral_dask/contract",
        "ops",
    }


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_build_needs_no_newer_buildkit_than_that_of_docker_20_10(name: str) -> None:
    """Its frontend is that of BuildKit 0.8: no --link and no heredocs, for which it ends with a parse error."""
    text = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
    options = set(
        re.findall(r"--(?=[a-z])([a-z-]+)=?", "\n".join(re.findall(r"^(?:COPY|ADD|FROM) .*$", text, re.MULTILINE)))
    )
    assert options <= {"from"}
    mounts = re.findall(r"^RUN ((?:--[^ ]+ (?:\\\n *)?)+)", text, re.MULTILINE)
    assert {each for line in mounts for each in re.findall(r"--([a-z]+)=(?:type=)?(\w+)", line)} <= {
        ("mount", "cache"),
        ("mount", "secret"),
    }
    assert "<<" not in text
    assert not re.search(r"^# *syntax", (ROOT / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements/gpu.txt", "jobs/gpu/locked.txt", "./requirements.txt"])
def test_the_packages_of_a_flow_image_may_be_locked_in_any_file_of_the_project(name: str) -> None:
    values = {"registry": "r", "flows": {"other": {"requirements": name}}}
    build = DockerBuild.model_validate(values, by_alias=True).flows["other"]
    assert flow(build)["requirements/flows.txt"] == name.removeprefix("./")


@pytest.mark.parametrize("name", ["/etc/gpu.txt", "../gpu.txt", "jobs/../../gpu.txt", ".", ""])
@pytest.mark.parametrize("key", ["requirements", "packages"])
def test_a_path_outside_the_project_is_refused(key: str, name: str) -> None:
    value = [name] if key == "packages" else name
    with pytest.raises(ValueError, match="is not below the project's folder"):
        DockerBuild.model_validate({"registry": "r", "flow": {key: value}}, by_alias=True)


@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_a_version_of_python_selects_base_image_and_lock(python: str) -> None:
    image = DockerBuild.model_validate(
        {"registry": "r", "flow": {"python": python}, "flows": {"old": {}, "own": {"python": python, "base": "b:1"}}},
        by_alias=True,
    )
    assert flow(image.flow)["requirements/flows.txt"] == f"requirements/flows-{python}.txt"
    assert image.base_of(image.flow) == f"python:{python}-slim-bookworm"
    assert flow(image.flows["old"])["requirements/flows.txt"] == "requirements/flows.txt"
    assert (image.base_of(image.flows["old"]), image.base_of(image.flows["own"])) == (image.base, "b:1")


def test_a_base_image_of_ones_own_is_not_taken_for_another_python() -> None:
    values: dict[str, object] = {"registry": "r", "base": "own:1", "flows": {"gpu": {"python": "3.13"}}}
    with pytest.raises(
        ValueError, match=r"image.flows.gpu.python is 3.13, and image.base, own:1, .* image.flows.gpu.base"
    ):
        DockerBuild.model_validate(values, by_alias=True)


def test_the_locks_of_all_versions_of_python_have_the_same_versions_of_what_is_compared_in_a_run() -> None:
    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    own = versions("flows.txt")
    for python in FLOW_PYTHONS:
        other = versions(f"flows-{python}.txt")
        assert {name: (own[name], other[name]) for name in own.keys() & other.keys() if own[name] != other[name]} == {}
        text = (ROOT / "requirements" / f"flows-{python}.txt").read_text()
        assert "--index-url" not in text
        assert "://" not in text


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
    assert {re.sub(r"id=(\w+),.*", r"\1", each) for each in mounts} == {"netrc"}
    assert all(",target=/run/" in each and each.endswith(",required=false") for each in mounts)
