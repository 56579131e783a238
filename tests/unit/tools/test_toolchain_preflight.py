from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from tools.errors import Problem
from tools.toolchain import preflight
from tools.toolchain.build import ensure
from tools.toolchain.group import Group, Module
from tools.toolchain.modules import GROUPS

if TYPE_CHECKING:
    from pathlib import Path

FAKE_GO = """#!/bin/sh
case "$1" in
version) echo "go version ${FAKE_GO_VERSION:-go1.99.1} linux/amd64" ;;
env) echo "{\\"GOCACHE\\": \\"$FAKE/compiled\\", \\"GOMODCACHE\\": \\"$FAKE/modules\\"}" ;;
build) echo "a check must not build" >> "$FAKE/builds" ;;
esac
"""


@pytest.fixture
def group(tmp_path: Path) -> Group:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text("module example\n\ngo 1.26\n\nrequire example.com/big v1.2.3\n")
    module = Module(folder=folder, requires="example.com/big", programs={"hello": "."})
    return Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fake"
    folder.mkdir()
    go = folder / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("FAKE", str(folder))
    return folder


def check(group: Group, tmp_path: Path) -> list[Problem]:
    return preflight(["hello"], cache=tmp_path / "cache", groups={"hello": group})


def huge(group: Group) -> Group:
    return dataclasses.replace(group, cold_mib=2**40)


def test_a_machine_that_can_build_has_no_problems(group: Group, fake: Path, tmp_path: Path) -> None:
    del fake
    assert check(group, tmp_path) == []


def test_a_check_changes_nothing_and_builds_nothing(group: Group, fake: Path, tmp_path: Path) -> None:
    check(group, tmp_path)
    assert not (tmp_path / "cache").exists()
    assert {path.name for path in fake.iterdir()} == {"go"}


def test_the_message_without_go_says_what_to_install(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = check(group, tmp_path)
    assert str(problem) == (
        "Go is not installed, and it is needed to build hello. Install Go 1.26 or newer and add its bin folder to PATH."
    )
    with pytest.raises(Problem, match="Go is not installed"):
        ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})


def test_an_older_go_is_refused_before_anything_is_built(
    group: Group, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_VERSION", "go1.25.9")
    (problem,) = check(group, tmp_path)
    assert str(problem).startswith(
        f"Building hello needs Go 1.26 or newer, and {fake / 'go'} is go1.25.9. Install Go 1.26"
    )
    with pytest.raises(Problem, match=r"needs Go 1\.26"):
        ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})
    assert not (fake / "builds").exists()


@pytest.mark.parametrize("version", ["go1.26", "go1.26.0", "go1.26.8 X:nocoverageredesign", "devel go1.27-5c3d1a"])
def test_every_form_of_a_new_enough_version_is_accepted(
    version: str, group: Group, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fake
    (group.modules[0].folder / "go.mod").write_text("module example\n\ngo 1.26.0\n")
    monkeypatch.setenv("FAKE_GO_VERSION", version)
    assert check(group, tmp_path) == []


def test_a_go_that_does_not_work_is_a_problem(group: Group, fake: Path, tmp_path: Path) -> None:
    (fake / "go").write_text("#!/bin/sh\necho exec format error >&2\nexit 126\n")
    (problem,) = check(group, tmp_path)
    assert "does not answer `go version`" in problem.what
    assert "exec format error" in problem.detail


def test_the_message_about_a_full_disk_says_how_much_is_needed_and_where(
    group: Group, fake: Path, tmp_path: Path
) -> None:
    del fake
    (problem,) = check(huge(group), tmp_path)
    assert "hello takes about 1073741824.0 GiB below" in problem.what
    assert "GOCACHE" in problem.remedy


def test_downloaded_modules_need_no_disk_for_compiling(group: Group, fake: Path, tmp_path: Path) -> None:
    archive = fake / "modules/cache/download/example.com/big/@v/v1.2.3.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert check(huge(group), tmp_path) == []


def test_an_existing_group_has_no_preconditions(
    group: Group, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake / "go").write_text(FAKE_GO.replace("build) ", 'build) while [ "$1" != -o ]; do shift; done; > "$2";'))
    ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check(huge(group), tmp_path) == []


def test_the_message_about_an_unknown_name_has_the_known_ones(group: Group, tmp_path: Path) -> None:
    (problem,) = preflight(["helo"], cache=tmp_path / "cache", groups={"hello": group})
    assert str(problem) == "The toolchain has no group 'helo'. Choose from hello."


def test_an_installed_pulumi_needs_no_go(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "go").unlink()
    cli = fake / "pulumi"
    cli.write_text("#!/bin/sh\necho v3.300.0\n")
    cli.chmod(0o755)
    assert preflight(["pulumi", "kubernetes-provider"], cache=tmp_path / "cache") == []
    (problem,) = preflight(["pulumi", "etcd"], cache=tmp_path / "cache")
    assert problem.what == "Go is not installed, and it is needed to build etcd"
    cli.write_text("#!/bin/sh\necho v3.100.0\n")
    (problem,) = preflight(["pulumi"], cache=tmp_path / "cache")
    assert "No Pulumi is installed that is new enough" in problem.what
    del monkeypatch


def test_a_check_of_all_groups_asks_go_twice_and_no_more(fake: Path, tmp_path: Path) -> None:
    calls = fake / "calls"
    (fake / "go").write_text(FAKE_GO.replace("#!/bin/sh\n", f'#!/bin/sh\necho "$1" >> {calls}\n'))
    preflight(list(GROUPS), cache=tmp_path / "cache")
    assert calls.read_text().split() == ["version", "env"]
