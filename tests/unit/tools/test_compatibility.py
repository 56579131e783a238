from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from ephemeral_dask.contract.release import RELEASE
from infra import naming, settings
from tools import compatibility
from tools.compatibility import Locks
from tools.paths import ROOT

FLOWS = "requirements/flows.txt"
PINNED = {
    "prefect": "3.8.8",
    "prefect-dask": "0.3.7",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "dask-kubernetes": "2026.3.0",
}
LOCKS = Locks(
    flows={FLOWS: PINNED},
    platform={"prefect": "3.8.8", "dask-kubernetes": "2026.3.0"},
    ranges={"prefect": SpecifierSet(">=3.8.8,<3.9"), "prefect-dask": SpecifierSet(">=0.3.7,<0.4")},
)


def with_flows(**versions: str) -> Locks:
    return replace(LOCKS, flows={FLOWS: {**PINNED, **{name.replace("_", "-"): one for name, one in versions.items()}}})


def said(problems: Any) -> list[str]:
    return [str(problem) for problem in problems]


def test_the_locks_of_this_repository_fit_each_other() -> None:
    image = {"builder": "docker-build", "registry": "r", "flows": {"new": {"python": "3.13"}}}
    locks = compatibility.read(settings.parse({"image": image}, stack="dev"), ROOT)
    assert set(locks.flows) == {FLOWS, "requirements/flows-3.13.txt"}
    assert {"prefect", "prefect-dask", "dask", "distributed", "dask-kubernetes"} <= locks.ranges.keys()
    assert said([*compatibility.untested(locks), *compatibility.unfit(locks)]) == []
    assert said(compatibility.of_server(locks.platform["prefect"], locks)) == []


def test_pins_are_read_as_pip_writes_them(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("Prefect_Dask==0.3.7 \\\n    --hash=sha256:1\ndask==1 ; python_version<'4'\n-e .\nhttpx>=1\n")
    assert compatibility.pins(lock) == {"prefect-dask": "0.3.7", "dask": "1"}


@pytest.mark.parametrize(
    ("versions", "what", "remedy"),
    [
        ({"prefect": "3.9.0"}, "has prefect 3.9.0, and this project is tested with >=3.8.8", "Pin prefect==3.8.8"),
        ({"prefect_dask": "0.3.6"}, "has prefect-dask 0.3.6", "Pin prefect-dask==0.3.7"),
        ({"distributed": "2026.8.1"}, "dask 2026.8.0 and distributed 2026.8.1", "Pin dask==2026.8.1"),
        ({"dask_kubernetes": "2026.3.1"}, "operator and its CRDs in requirements/platform.txt are of 2026.3.0", "Pin"),
    ],
)
def test_what_does_not_fit_in_a_flow_image_is_named_with_what_would(
    versions: dict[str, str], what: str, remedy: str
) -> None:
    locks = with_flows(**versions)
    [problem] = said([*compatibility.untested(locks), *compatibility.unfit(locks)])
    assert problem.startswith(FLOWS)
    assert what in problem
    assert remedy in problem


def test_the_runtime_of_another_release_among_the_requirements_is_named() -> None:
    assert said(compatibility.untested(with_flows(ephemeral_dask=RELEASE))) == []
    [problem] = said(compatibility.untested(with_flows(ephemeral_dask="0.0.9")))
    assert f"has ephemeral-dask 0.0.9, and the program is release {RELEASE}" in problem


def test_the_locks_have_what_the_program_pins() -> None:
    assert said(compatibility.stale(ROOT)) == []


def test_a_lock_of_another_release_of_the_program_is_named_with_what_differs(tmp_path: Path) -> None:
    for name in ("infra/package/pyproject.toml", *compatibility.GROUPS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    lock = tmp_path / FLOWS
    lock.write_text(lock.read_text().replace("prefect==3.8.8", "prefect==3.8.7"))
    [problem] = said(compatibility.stale(tmp_path))
    assert problem.startswith(f"{FLOWS} has prefect 3.8.7 instead of 3.8.8")
    assert "make lock" in problem


@pytest.mark.parametrize(("server", "fits"), [("3.8.8", True), ("3.10.0", True), ("3.8.7", False), ("4.0.0", False)])
def test_a_server_must_not_be_older_than_its_clients(server: str, fits: bool) -> None:
    problems = said(compatibility.of_server(server, LOCKS))
    assert bool(problems) is not fits
    assert all("Upgrade the server to 3.8.8 or a later 3.x, or pin" in problem for problem in problems)


@pytest.mark.parametrize("server", ["", "3.8.8+7.gabc", "main"])
def test_a_server_from_source_is_taken_by_what_can_be_read_of_its_version(server: str) -> None:
    assert said(compatibility.of_server(server, LOCKS)) == []


def test_images_of_another_pipeline_have_no_lock_here() -> None:
    flow = "r/flow@sha256:" + "a" * 64
    image = {"builder": "prebuilt", "flow": flow, "platform": flow.replace("flow", "platform")}
    locks = compatibility.read(settings.parse({"image": image}, stack="dev"), ROOT)
    assert locks.flows == {}
    assert said([*compatibility.unfit(locks), *compatibility.of_server("2.0.0", locks)]) == []


def crd(version: str | None) -> dict[str, Any]:
    marks = {"annotations": {naming.DASK_VERSION: version}} if version else {}
    return {"metadata": {"name": "daskclusters.kubernetes.dask.org", **marks}}


def operator(image: str) -> dict[str, Any]:
    return {"metadata": {"name": "operator"}, "spec": {"template": {"spec": {"containers": [{"image": image}]}}}}


@pytest.mark.parametrize(
    ("version", "remedy"),
    [("2026.1.0", "make up to install"), ("2026.9.0", "Upgrade this project to dask-kubernetes 2026.9.0")],
)
def test_crds_of_another_release_are_named(version: str, remedy: str) -> None:
    [problem] = said(compatibility.of_cluster([crd(version)], [], LOCKS, namespace="dask"))
    assert f"is of dask-kubernetes {version}, and this project has 2026.3.0" in problem
    assert remedy in problem


def test_an_operator_of_others_is_read_by_the_tag_of_its_image() -> None:
    old = operator("ghcr.io/dask/dask-kubernetes-operator:2025.1.0@sha256:1")
    [problem] = said(compatibility.of_cluster([], [old], LOCKS, namespace="dask"))
    assert problem.startswith("The Dask operator dask/operator has version 2025.1.0")
    assert "pin dask-kubernetes==2025.1.0" in problem


def test_what_has_no_version_is_left_alone() -> None:
    others = [operator("ghcr.io/dask/dask-kubernetes-operator:latest"), operator("localhost:5001/platform@sha256:1")]
    assert said(compatibility.of_cluster([crd(None)], others, LOCKS, namespace="dask")) == []
    assert said(compatibility.of_cluster([crd("2026.3.0")], [], LOCKS, namespace="dask")) == []
