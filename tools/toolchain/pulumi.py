"""Pulumi with the plugins this project needs: the person's own where there is one, else built."""

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
from tools.paths import ROOT, state_dir
from tools.progress import say, step
from tools.toolchain.build import ensure
from tools.toolchain.group import Group
from tools.toolchain.lock import locked
from tools.toolchain.modules import GROUPS, PULUMI
from tools.toolchain.store import Store

MINIMUM = (3, 208)
"""The first release that takes every option from the environment: PULUMI_OPTION_CONFIG_FILE keeps a stack's
encryption salt out of the stack file that is in git. Destroying with `--run-program` came earlier (3.160)."""

PLUGINS: Mapping[str, str] = {"kubernetes": "kubernetes-provider", "docker-build": "docker-build-provider"}
"""A Pulumi plugin -> the group that builds it. Its version is that of the Python package pulumi-<name>."""

_DOWNLOAD = 300.0
"""Seconds for Pulumi to download one plugin before it is built instead."""


@dataclass(frozen=True, kw_only=True)
class Pulumi:
    """A Pulumi command line that finds its plugins.

    Attributes:
        command: the program.
        version: `3.259.0`.
        environment: variables to set for it and for whatever starts it; where PATH is among them it is whole.

    """

    command: Path
    version: str
    environment: Mapping[str, str]


def ensure_pulumi(*, cache: Path | None = None, home: Path | None = None, virtualenv: Path = ROOT / ".venv") -> Pulumi:
    """Return a Pulumi with its plugins, building and installing what is missing.

    Args:
        cache: where built programs are kept; the project's cache folder when left out.
        home: PULUMI_HOME of a built Pulumi; below the project's state folder when left out.
        virtualenv: the Python environment that programs run in under a built Pulumi.

    Raises:
        Problem: something could not be built or installed.

    """
    if found := own(Store.under(cache)):
        _complete(found, cache)
        return found
    other = shutil.which("pulumi")
    if other and not _is_built(other, Store.under(cache)):
        say(f"    {other} is not Pulumi {_dotted(MINIMUM)} or newer: using one that is built here")
    return _built(cache, home or state_dir() / "pulumi-home", virtualenv)


def own(store: Store) -> Pulumi | None:
    """Return the person's own Pulumi, when it is on PATH and new enough; its plugins may be missing."""
    found = shutil.which("pulumi")
    if found is None or _is_built(found, store):
        return None
    environment = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    run = subprocess.run(
        [found, "version"], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    version = re.match(r"v?((\d+)\.(\d+)\.\S+)", run.stdout)
    if version is None or (int(version[2]), int(version[3])) < MINIMUM:
        return None
    return Pulumi(command=Path(found), version=version[1], environment=environment)


def _is_built(program: str, store: Store) -> bool:
    """Whether a program is one that was built here, as in the shell of `make env`."""
    return Path(program).resolve().is_relative_to(store.root.resolve())


def _complete(pulumi: Pulumi, cache: Path | None) -> None:
    """Give the person's own Pulumi what it lacks of our plugins."""
    listed = json.loads(_run(pulumi, ["plugin", "ls", "--json"]))
    have = {(plugin["kind"], plugin["name"], plugin.get("version")) for plugin in listed}
    for name, group in PLUGINS.items():
        version = _wanted(name)
        if ("resource", name, version) in have or _download(pulumi, name, version):
            continue
        folder = ensure([group], cache=cache)[group]
        _install(pulumi, name, GROUPS[group], folder)


def _download(pulumi: Pulumi, name: str, version: str) -> bool:
    """Let Pulumi fetch a plugin as it would on its own; False where its download site cannot be reached."""
    with step(f"downloading Pulumi's {name} plugin {version}"):
        try:
            _run(pulumi, ["plugin", "install", "resource", name, version, "--exact"], timeout=_DOWNLOAD)
        except (Problem, subprocess.TimeoutExpired):
            say("    Pulumi cannot download it here: building it")
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
            # The built language host takes `python` from PATH and knows no `virtualenv:` in Pulumi.yaml;
            # dynamic resources run in the environment that PULUMI_RUNTIME_VIRTUALENV names.
            "PATH": path,
            "PULUMI_RUNTIME_VIRTUALENV": str(virtualenv),
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        },
    )
    for name, group in PLUGINS.items():
        if not _has(home, name, folders[group]):
            with locked(home / "built" / f"{name}.lock", f"installs Pulumi's {name} plugin"):
                if not _has(home, name, folders[group]):
                    _install(pulumi, name, GROUPS[group], folders[group])
                    _marker(home, name).write_text(folders[group].parent.name, encoding="utf-8")
    return pulumi


def _has(home: Path, name: str, folder: Path) -> bool:
    """Whether this very build is installed: one of the same version and other content is replaced."""
    file = home / "plugins" / f"resource-{name}-v{_wanted(name)}" / f"pulumi-resource-{name}"
    marker = _marker(home, name)
    return file.is_file() and marker.is_file() and marker.read_text(encoding="utf-8") == folder.parent.name


def _marker(home: Path, name: str) -> Path:
    return home / "built" / name


def _install(pulumi: Pulumi, name: str, group: Group, folder: Path) -> None:
    version = _wanted(name)
    if version != group.version:
        raise Problem(
            f"The Python package pulumi-{name} is {version}, and its plugin can be built as {group.version}",
            remedy="Install the packages of requirements/dev.txt, or that plugin by `pulumi plugin install`",
        )
    file = folder / f"pulumi-resource-{name}"
    with step(f"installing Pulumi's {name} plugin {version}"):
        _run(
            pulumi,
            ["plugin", "install", "resource", name, version, "--file", str(file), "--exact", "--reinstall"],
        )


def _wanted(name: str) -> str:
    """Return the version of a plugin that the Python program asks for."""
    try:
        return metadata.version(f"pulumi-{name}")
    except metadata.PackageNotFoundError:  # these tools also run outside the project's Python environment
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
            remedy="Read what it says below; `pulumi about` tells which Pulumi it is",
            detail="\n".join((run.stdout + run.stderr).splitlines()[-20:]),
        )
    return run.stdout


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
