"""Pulumi's official program, downloaded by Pulumi's own library when a person asks for it (`make pulumi`)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.error import URLError

from tools.errors import Problem
from tools.paths import cache_dir
from tools.progress import step
from tools.toolchain.pins import pinned


def root(cache: Path | None = None) -> Path:
    """Return the folder of the version that the Python packages have."""
    return (cache or cache_dir()) / "pulumi" / pinned("pulumi")


def find(cache: Path | None = None) -> Path | None:
    """Return the downloaded program, if there is one of that version."""
    program = root(cache) / "bin" / "pulumi"
    return program if program.is_file() else None


def install(cache: Path | None = None) -> Path:
    """Download the program where it is missing and return its path.

    Raises:
        Problem: it cannot be downloaded.

    """
    from pulumi.automation import PulumiCommand  # noqa: PLC0415  a second, and the toolchain is used without it
    from semver import VersionInfo  # noqa: PLC0415  comes with Pulumi

    version, folder = pinned("pulumi"), root(cache)
    try:
        with step(f"downloading Pulumi {version}"):
            PulumiCommand.install(root=str(folder), version=VersionInfo.parse(version))
    except (URLError, OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "output", None) or b""
        raise Problem(
            f"Pulumi {version} cannot be downloaded ({getattr(error, 'reason', None) or type(error).__name__})",
            remedy="See that this machine reaches Pulumi's site, or install Pulumi in another way, or Go to build it",
            detail=detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail),
        ) from None
    return folder / "bin" / "pulumi"
