"""The Go on this machine, and the surroundings in which it compiles."""

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
    # Replaces whatever the person set (-mod=vendor, -tags, -race, ...), in the environment or by `go env -w`.
    "GOFLAGS": "-buildvcs=false",
    # Compile with the Go that is here; do not fetch another one without a word.
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
"""What would change the result if the person's own settings came through. The rest is theirs: proxies,
GOPROXY, GOPRIVATE, GOMODCACHE and GOCACHE describe the network and the machine."""

_OS = {"Linux": "linux", "Darwin": "darwin"}
_ARCHITECTURE = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_UNSET = ("GOEXPERIMENT", "GOBIN")


@dataclass(frozen=True, kw_only=True)
class Go:
    """An installed Go."""

    executable: str
    version: str
    """As it says it: `go1.26.8`."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers; those of a development build are its next release's."""
        found = re.search(r"go(\d+(?:\.\d+)*)", self.version)
        return (*map(int, found[1].split(".")), 0, 0)[:3] if found else (0,)


def find() -> Go | None:
    """Return the `go` on PATH.

    Raises:
        Problem: it is there and does not work.

    """
    executable = shutil.which("go")
    if executable is None:
        return None
    run = subprocess.run([executable, "version"], env=environment(), capture_output=True, text=True, check=False)
    found = re.match(r"go version (.+) \S+/\S+$", run.stdout.strip())
    if run.returncode != 0 or found is None:
        raise Problem(
            f"{executable} does not answer `go version`",
            remedy="Repair the installation of Go, or take it off PATH",
            detail=run.stdout + run.stderr,
        )
    return Go(executable=executable, version=found[1])


def target() -> tuple[str, str]:
    """Return GOOS and GOARCH of this machine, because tools run where they are built.

    Raises:
        Problem: this kind of machine is not supported.

    """
    try:
        return _OS[platform.system()], _ARCHITECTURE[platform.machine().lower()]
    except KeyError as error:
        raise Problem(
            f"The tools do not build on {platform.system()} {platform.machine()}",
            remedy="Use Linux or macOS on x86-64 or arm64",
        ) from error


def environment(scratch: Path | None = None) -> dict[str, str]:
    """Return the environment for every `go` command; `scratch` takes its temporary files."""
    goos, goarch = target()
    own = {name: value for name, value in os.environ.items() if name not in _UNSET}
    own |= {**SETTINGS, "GOOS": goos, "GOARCH": goarch}
    if scratch is not None:
        own["GOTMPDIR"] = str(scratch)
    return own


def caches(go: Go) -> tuple[Path, Path]:
    """Return where Go keeps compiled packages and downloaded modules: GOCACHE, GOMODCACHE."""
    run = subprocess.run(
        [go.executable, "env", "-json", "GOCACHE", "GOMODCACHE"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout)
    return Path(found["GOCACHE"]), Path(found["GOMODCACHE"])
