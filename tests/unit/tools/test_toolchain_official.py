"""Pulumi's official program: used where `make pulumi` has downloaded it, and named where nothing else is there."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import URLError

import pytest
from pulumi.automation import PulumiCommand

from tools.errors import Problem
from tools.toolchain import official, preflight, pulumi
from tools.toolchain.modules import PULUMI
from tools.toolchain.pins import pinned
from tools.toolchain.store import Store


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return tmp_path / "cache"


def download(cache: Path, version: str = "") -> Path:
    program = official.root(cache) / "bin" / "pulumi"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho v{version or pinned('pulumi')}\n")
    program.chmod(0o755)
    return program


def test_a_downloaded_pulumi_is_used_where_none_is_installed(nothing_installed: Path) -> None:
    store = Store.in_cache(nothing_installed)
    assert pulumi.find_installed(store, nothing_installed) is None
    program = download(nothing_installed)
    available = pulumi.find_installed(store, nothing_installed)
    assert available is not None
    assert (available.command, available.version) == (program, pinned("pulumi"))
    assert available.environment["PATH"].split(os.pathsep)[0] == str(program.parent)
    assert preflight(PULUMI, cache=nothing_installed) == []


def test_an_installed_pulumi_comes_before_a_downloaded_one(nothing_installed: Path, tmp_path: Path) -> None:
    download(nothing_installed)
    own = tmp_path / "empty" / "pulumi"
    own.write_text("#!/bin/sh\necho v3.300.0\n")
    own.chmod(0o755)
    available = pulumi.find_installed(Store.in_cache(nothing_installed), nothing_installed)
    assert available is not None
    assert available.command == own
    own.write_text("#!/bin/sh\necho v3.100.0\n")
    available = pulumi.find_installed(Store.in_cache(nothing_installed), nothing_installed)
    assert available is not None
    assert available.command != own


def test_without_pulumi_and_go_the_three_ways_are_named(nothing_installed: Path) -> None:
    [problem] = preflight(PULUMI, cache=nothing_installed)
    assert "No Pulumi is installed that is new enough, and Go is not installed" in str(problem)
    assert "Install Pulumi, or let `make pulumi` download the official program, or install Go 1.26" in str(problem)


def test_the_version_of_the_python_package_is_downloaded_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        PulumiCommand, "install", classmethod(lambda _, root, version: asked.append((root, str(version))))
    )
    assert official.install(tmp_path).is_relative_to(tmp_path)
    assert asked == [(str(official.root(tmp_path)), pinned("pulumi"))]


def test_a_download_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise URLError("no such host")

    monkeypatch.setattr(PulumiCommand, "install", fail)
    with pytest.raises(Problem, match=r"cannot be downloaded \(no such host\)"):
        official.install(tmp_path)
