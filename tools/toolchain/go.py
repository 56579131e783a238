"""The Go on this machine, and the environment in which it compiles."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.errors import Problem

SETTINGS: Mapping[str, str] = {
    # Static programs: they run in any image and on any libc, and need no C compiler.
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOAMD64": "v1",
    "GOARM64": "v8.0",
    # Replaces the user's own flags (-mod=vendor, -tags, -race, ...), from the environment or from `go env -w`.
    "GOFLAGS": "-buildvcs=false",
    # Compile with the installed Go; do not download another one silently.
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
"""The settings that determine the result, so the user's own values are overridden. Others are left to the user:
proxies, GOPROXY, GOPRIVATE, GOMODCACHE and GOCACHE describe the network and the machine."""

_OS = {"Linux": "linux", "Darwin": "darwin"}
_ARCHITECTURE = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_UNSET = ("GOEXPERIMENT", "GOBIN")


@dataclass(frozen=True, kw_only=True)
class Go:
    """An installed Go."""

    executable: str
    version: str
    """As Go prints it: `go1.26.8`."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the version as numbers; a development build has those of the next release."""
        match = re.search(r"go(\d+(?:\.\d+)*)", self.version)
        return (*map(int, match[1].split(".")), 0, 0)[:3] if match else (0,)


def find() -> Go | None:
    """Return the `go` on PATH.

    Raises:
        Problem: it exists and does not work.

    """
    executable = shutil.which("go")
    if executable is None:
        return None
    run = subprocess.run([executable, "version"], env=environment(), capture_output=True, text=True, check=False)
    match = re.match(r"go version (.+) \S+/\S+$", run.stdout.strip())
    if run.returncode != 0 or match is None:
        raise Problem(
            f"{executable} does not answer `go version`",
            remedy="Repair the installation of Go, or remove it from PATH",
            detail=run.stdout + run.stderr,
        )
    return Go(executable=executable, version=match[1])


def target() -> tuple[str, str]:
    """Return GOOS and GOARCH of this machine, on which the built programs run.

    Raises:
        Problem: the operating system or the architecture is not supported.

    """
    try:
        return _OS[platform.system()], _ARCHITECTURE[platform.machine().lower()]
    except KeyError as error:
        raise Problem(
            f"The tools cannot be built on {platform.system()} {platform.machine()}",
            remedy="Use Linux or macOS on x86-64 or arm64",
        ) from error


def environment(scratch: Path | None = None) -> dict[str, str]:
    """Return the environment of every `go` command; `scratch` is the folder for its temporary files."""
    goos, goarch = target()
    variables = {name: value for name, value in os.environ.items() if name not in _UNSET}
    variables |= {**SETTINGS, "GOOS": goos, "GOARCH": goarch}
    if scratch is not None:
        variables["GOTMPDIR"] = str(scratch)
    return variables


def caches(go: Go) -> tuple[Path, Path]:
    """Return the folders of compiled packages and of downloaded modules: GOCACHE and GOMODCACHE."""
    run = subprocess.run(
        [go.executable, "env", "-json", "GOCACHE", "GOMODCACHE"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    folders = json.loads(run.stdout)
    return Path(folders["GOCACHE"]), Path(folders["GOMODCACHE"])
