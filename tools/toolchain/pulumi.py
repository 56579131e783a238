"""Pulumi with the plugins that this project needs: the user's installed one, a downloaded one, else a built one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tools.errors import Problem
from tools.file_lock import locked
from tools.paths import ROOT, state_dir
from tools.progress import say, step
from tools.toolchain import automatic_logs, official
from tools.toolchain.build import ensure
from tools.toolchain.group import Group
from tools.toolchain.modules import GROUPS, PULUMI
from tools.toolchain.store import Store

MINIMUM = (3, 208)
"""The first release that reads every option from the environment: PULUMI_OPTION_CONFIG_FILE keeps a stack's encryption
salt out of the stack file that is in git. `pulumi destroy --run-program` is older (3.160)."""

PLUGINS: Mapping[str, str] = {"kubernetes": "kubernetes-provider", "docker-build": "docker-build-provider"}
"""Pulumi plugin -> the group that builds it. A plugin has the version of the Python package pulumi-<name>."""

_DOWNLOAD = 300.0
"""Seconds for Pulumi to download one plugin; after that it is built."""


@dataclass(frozen=True, kw_only=True)
class Pulumi:
    """A Pulumi command line with its plugins.

    Attributes:
        command: the program.
        version: `3.259.0`.
        environment: variables for it and for programs that start it. A PATH among them is complete.

    """

    command: Path
    version: str
    environment: Mapping[str, str]


def ensure_pulumi(*, cache: Path | None = None, home: Path | None = None, virtualenv: Path = ROOT / ".venv") -> Pulumi:
    """Return a Pulumi with its plugins, building and installing what is missing.

    Args:
        cache: the cache folder of built programs; the project's by default.
        home: PULUMI_HOME of a built Pulumi; a folder in the project's state folder by default.
        virtualenv: the Python environment in which a built Pulumi runs programs.

    Raises:
        Problem: something could not be built or installed.

    """
    store = Store.in_cache(cache)
    if installed := find_installed(store, cache):
        _add_missing_plugins(installed, cache)
        return installed
    other = shutil.which("pulumi")
    if other and not _is_built(other, store):
        say(f"    {other} is not Pulumi {_dotted(MINIMUM)} or newer, so a built one is used")
    return _built(cache, home or state_dir() / "pulumi-home", virtualenv)


def find_installed(store: Store, cache: Path | None = None) -> Pulumi | None:
    """Return the user's installed Pulumi, if it is on PATH and new enough, else the one that `make pulumi` downloaded.

    Its plugins may be missing.
    """
    environment = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = shutil.which("pulumi")
    if command and not _is_built(command, store) and (own := _of_version(command, environment)):
        return own
    if downloaded := official.find(cache):
        path = os.pathsep.join([str(downloaded.parent), os.environ.get("PATH", os.defpath)])
        return _of_version(str(downloaded), {**environment, "PATH": path})
    return None


def _of_version(command: str, environment: Mapping[str, str]) -> Pulumi | None:
    run = subprocess.run(
        [command, "version"], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    version = re.match(r"v?((\d+)\.(\d+)\.\S+)", run.stdout)
    if version is None or (int(version[2]), int(version[3])) < MINIMUM:
        return None
    return Pulumi(command=Path(command), version=version[1], environment=environment)


def _is_built(program: str, store: Store) -> bool:
    """Return whether a program is one that was built here, as on the PATH of `make env`."""
    return Path(program).resolve().is_relative_to(store.root.resolve())


def _add_missing_plugins(pulumi: Pulumi, cache: Path | None) -> None:
    """Install the plugins that the user's Pulumi lacks."""
    plugins = json.loads(_run(pulumi, ["plugin", "ls", "--json"]))
    have = {(plugin["kind"], plugin["name"], plugin.get("version")) for plugin in plugins}
    for name, group in PLUGINS.items():
        version = _plugin_version(name)
        if ("resource", name, version) in have or _download(pulumi, name, version):
            continue
        folder = ensure([group], cache=cache)[group]
        _install(pulumi, name, GROUPS[group], folder)


def _download(pulumi: Pulumi, name: str, version: str) -> bool:
    """Let Pulumi download a plugin, as it does by default; return False where it cannot."""
    with step(f"downloading Pulumi's {name} plugin {version}"):
        try:
            _run(pulumi, ["plugin", "install", "resource", name, version, "--exact"], timeout=_DOWNLOAD)
        except (Problem, subprocess.TimeoutExpired):
            say("    Pulumi cannot download it here, so it is built")
            return False
    return True


def _built(cache: Path | None, home: Path, virtualenv: Path) -> Pulumi:
    folders = ensure(PULUMI, cache=cache)
    binaries = folders["pulumi"]
    path = os.pathsep.join([str(virtualenv / "bin"), str(binaries), os.environ.get("PATH", os.defpath)])
    pulumi = Pulumi(
        command=binaries / "pulumi",
        version=GROUPS["pulumi"].version,
        environment={
            # The built language host runs the `python` on PATH and ignores `virtualenv:` in Pulumi.yaml. Dynamic
            # resources run in the environment that PULUMI_RUNTIME_VIRTUALENV names.
            "PATH": path,
            "PULUMI_RUNTIME_VIRTUALENV": str(virtualenv),
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        },
    )
    automatic_logs.disable(home)
    for name, group in PLUGINS.items():
        if not _is_installed(home, name, folders[group]):
            with locked(home / "built" / f"{name}.lock", f"installs Pulumi's {name} plugin"):
                if not _is_installed(home, name, folders[group]):
                    _install(pulumi, name, GROUPS[group], folders[group])
                    _marker(home, name).write_text(folders[group].parent.name, encoding="utf-8")
    return pulumi


def _is_installed(home: Path, name: str, folder: Path) -> bool:
    """Return whether this very build is installed: another build of the same version is replaced."""
    file = home / "plugins" / f"resource-{name}-v{_plugin_version(name)}" / f"pulumi-resource-{name}"
    marker = _marker(home, name)
    return file.is_file() and marker.is_file() and marker.read_text(encoding="utf-8") == folder.parent.name


def _marker(home: Path, name: str) -> Path:
    return home / "built" / name


def _install(pulumi: Pulumi, name: str, group: Group, folder: Path) -> None:
    version = _plugin_version(name)
    if version != group.version:
        raise Problem(
            f"The Python package pulumi-{name} is {version}, but its plugin can only be built as {group.version}",
            remedy="Install the packages of requirements/dev.txt, or install that plugin with `pulumi plugin install`",
        )
    file = folder / f"pulumi-resource-{name}"
    with step(f"installing Pulumi's {name} plugin {version}"):
        _run(
            pulumi,
            ["plugin", "install", "resource", name, version, "--file", str(file), "--exact", "--reinstall"],
        )


def _plugin_version(name: str) -> str:
    """Return the version of a plugin that the Python program requires."""
    try:
        return metadata.version(f"pulumi-{name}")
    except metadata.PackageNotFoundError:  # the toolchain also runs outside the project's Python environment
        return GROUPS[PLUGINS[name]].version


def _run(pulumi: Pulumi, arguments: list[str], timeout: float | None = None) -> str:
    run = subprocess.run(
        [pulumi.command, *arguments],
        env={**os.environ, **pulumi.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if run.returncode != 0:
        raise Problem(
            f"`pulumi {' '.join(arguments[:2])}` failed",
            remedy="Read its output below; `pulumi about` shows which Pulumi it is",
            detail="\n".join((run.stdout + run.stderr).splitlines()[-20:]),
        )
    return run.stdout


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
