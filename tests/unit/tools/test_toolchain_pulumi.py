from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tools.errors import Problem
from tools.paths import ROOT
from tools.toolchain import pulumi
from tools.toolchain.modules import GROUPS
from tools.toolchain.pulumi import PLUGINS, ensure_pulumi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

FAKE_PULUMI = """#!/bin/sh
# Replaces pulumi: it logs its commands, and installs a plugin as the real one does.
echo "$@" >> "$FAKE/commands"
case "$1 $2" in
"version ") echo "VERSION" ;;
"plugin ls") cat "$FAKE/plugins.json" ;;
"plugin install")
    if [ "$6" = --file ]; then
        if [ -e "$FAKE/broken" ]; then echo "no space left" >&2; exit 1; fi
        folder="${PULUMI_HOME:-$FAKE/home}/plugins/resource-$4-v$5"
        mkdir -p "$folder" && cp "$7" "$folder/"
    elif [ -e "$FAKE/offline" ]; then
        echo "no such host" >&2
        exit 1
    fi
    ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder for the fake Pulumi, and a PATH without another one."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "plugins.json").write_text("[]")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    return folder


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the building of groups; yield the list of the requested ones."""
    requested: list[str] = []

    def ensure(names: Iterable[str], *, cache: Path | None = None) -> dict[str, Path]:
        folders = {}
        cli = FAKE_PULUMI.replace("VERSION", "v3.259.0")
        for name in names:
            requested.append(name)
            folder = (cache or tmp_path) / "tools" / f"{name}-build{os.environ.get('FAKE_BUILD', '1')}" / "bin"
            folder.mkdir(parents=True, exist_ok=True)
            for program in GROUPS[name].outputs:
                (folder / program).write_text(cli if program == "pulumi" else folder.parent.name)
                (folder / program).chmod(0o755)
            folders[name] = folder
        return folders

    monkeypatch.setattr(pulumi, "ensure", ensure)
    return requested


@pytest.fixture
def install_pulumi(fake: Path) -> Callable[[str], None]:
    def install(version: str) -> None:
        (fake / "pulumi").write_text(FAKE_PULUMI.replace("VERSION", version))
        (fake / "pulumi").chmod(0o755)

    return install


def commands(fake: Path) -> list[str]:
    file = fake / "commands"
    return file.read_text().splitlines() if file.exists() else []


def has_plugins(fake: Path, **versions: str) -> None:
    plugins = [
        {"name": name.replace("_", "-"), "kind": "resource", "version": version} for name, version in versions.items()
    ]
    (fake / "plugins.json").write_text(json.dumps(plugins))


def installed(home: Path) -> dict[str, str]:
    """Return the installed plugins: name of the folder -> the build that it is from."""
    return {path.parent.name: path.read_text() for path in (home / "plugins").glob("*/*")}


KUBERNETES = GROUPS["kubernetes-provider"].version
DOCKER_BUILD = GROUPS["docker-build-provider"].version


def test_an_installed_pulumi_with_its_plugins_is_used_unchanged(
    fake: Path, built: list[str], install_pulumi: Callable[[str], None], tmp_path: Path
) -> None:
    install_pulumi("v3.259.0")
    has_plugins(fake, kubernetes=KUBERNETES, docker_build=DOCKER_BUILD)
    result = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert result.command == fake / "pulumi"
    assert result.version == "3.259.0"
    assert "PULUMI_HOME" not in result.environment
    assert "PATH" not in result.environment
    assert built == []
    assert not any("install" in command for command in commands(fake))


def test_pulumi_downloads_a_missing_plugin(
    fake: Path, built: list[str], install_pulumi: Callable[[str], None], tmp_path: Path
) -> None:
    install_pulumi("v3.259.0")
    has_plugins(fake, kubernetes="4.0.0", docker_build=DOCKER_BUILD)
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert built == []
    assert f"plugin install resource kubernetes {KUBERNETES} --exact" in commands(fake)
    assert not any("docker-build" in command for command in commands(fake))


def test_a_plugin_that_cannot_be_downloaded_is_built_and_installed(
    fake: Path, built: list[str], install_pulumi: Callable[[str], None], tmp_path: Path
) -> None:
    install_pulumi("v3.259.0")
    (fake / "offline").touch()
    has_plugins(fake, docker_build=DOCKER_BUILD)
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert built == ["kubernetes-provider"]
    assert installed(fake / "home") == {f"resource-kubernetes-v{KUBERNETES}": "kubernetes-provider-build1"}


@pytest.mark.parametrize("version", ["v3.207.9", "v2.300.0", "unknown"])
def test_a_pulumi_that_is_too_old_is_not_used(
    version: str, built: list[str], install_pulumi: Callable[[str], None], tmp_path: Path
) -> None:
    install_pulumi(version)
    result = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert result.command == tmp_path / "tools" / "pulumi-build1" / "bin" / "pulumi"
    assert "pulumi" in built


@pytest.mark.usefixtures("built")
def test_a_pulumi_that_is_too_old_is_named(
    fake: Path, install_pulumi: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_pulumi("v3.207.9")
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert f"{fake / 'pulumi'} is not Pulumi 3.208 or newer" in capsys.readouterr().err


def test_a_built_pulumi_has_its_own_home_and_the_clones_python(fake: Path, built: list[str], tmp_path: Path) -> None:
    del fake
    result = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert set(built) == {"pulumi", *PLUGINS.values()}
    assert result.environment["PULUMI_HOME"] == str(tmp_path / "home")
    assert result.environment["PULUMI_RUNTIME_VIRTUALENV"] == str(ROOT / ".venv")
    assert result.environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert result.environment["PATH"].split(os.pathsep)[:2] == [
        str(ROOT / ".venv" / "bin"),
        str(result.command.parent),
    ]
    assert installed(tmp_path / "home") == {
        f"resource-kubernetes-v{KUBERNETES}": "kubernetes-provider-build1",
        f"resource-docker-build-v{DOCKER_BUILD}": "docker-build-provider-build1",
    }


def test_a_second_call_installs_nothing_and_starts_no_pulumi(fake: Path, built: list[str], tmp_path: Path) -> None:
    del built
    first = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    before = commands(fake)
    assert ensure_pulumi(cache=tmp_path, home=tmp_path / "home") == first
    assert commands(fake) == before


def test_a_built_pulumi_on_path_does_not_count_as_installed(
    fake: Path, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fake, built
    first = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    monkeypatch.setenv("PATH", first.environment["PATH"])
    again = ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert again.command == first.command
    assert again.environment["PULUMI_HOME"] == first.environment["PULUMI_HOME"]


def test_another_build_of_the_same_version_replaces_the_installed_plugin(
    fake: Path, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fake, built
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    monkeypatch.setenv("FAKE_BUILD", "2")
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert set(installed(tmp_path / "home").values()) == {
        "kubernetes-provider-build2",
        "docker-build-provider-build2",
    }


def test_a_failed_installation_shows_pulumis_output_and_can_be_repeated(
    fake: Path, built: list[str], tmp_path: Path
) -> None:
    del built
    (fake / "broken").touch()
    with pytest.raises(Problem, match="no space left"):
        ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    (fake / "broken").unlink()
    ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
    assert len(installed(tmp_path / "home")) == 2


def test_a_plugin_of_another_version_than_its_python_package_is_refused(
    fake: Path, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fake, built
    monkeypatch.setattr("tools.toolchain.pulumi.metadata.version", lambda _: "9.9.9")
    with pytest.raises(Problem, match=r"pulumi-kubernetes is 9\.9\.9.*requirements/dev\.txt"):
        ensure_pulumi(cache=tmp_path, home=tmp_path / "home")
