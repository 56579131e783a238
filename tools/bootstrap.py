"""Create `.venv` from the hashed lock. This runs with any Python 3, before any package is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = (ROOT / "requirements" / "dev.txt", ROOT / "requirements" / "uv.txt")
OLDEST = (3, 11)


def main() -> int:
    if os.name == "nt":
        return fail(
            "Windows itself is not supported.",
            "Use WSL: `wsl --install -d Debian`, and clone the repository there; docs/clusters.md says more.",
        )
    if sys.version_info < OLDEST:
        return fail(
            "Python {}.{} or newer is required, but {} is {}.{}.".format(
                *OLDEST, sys.executable, *sys.version_info[:2]
            ),
            "Install it (Debian 12: apt-get install python3 python3-venv), or select one: make PYTHON=python3.11 up.",
        )
    stamp = VENV / ".locked"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in LOCKS)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return 0
    started = time.monotonic()
    print("==> Python environment from the hashed lock", file=sys.stderr, flush=True)
    stamp.unlink(missing_ok=True)
    uv = shutil.which("uv") or install_uv()
    if uv is None:
        return 1
    commands = [
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)],
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--python",
            str(VENV / "bin" / "python"),
            str(LOCKS[0]),
        ],
    ]
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    for command in commands:
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return fail(
                "The Python packages of requirements/dev.txt could not be installed.",
                "Check that your package index is reachable (`pip download six`), then run the same command again.",
                result.stderr,
            )
    stamp.write_text(digest)
    seconds = time.monotonic() - started
    print(f"    Python environment: done in {seconds:.0f} s", file=sys.stderr, flush=True)
    return 0


def install_uv() -> str | None:
    """Return uv from the hashed lock, installed in its own folder below `.venv`; None when that failed."""
    home = VENV / "uv"
    binary = home / "bin" / "uv"
    if binary.exists():
        return str(binary)
    steps = [
        [sys.executable, "-m", "venv", str(home)],
        [
            str(home / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(LOCKS[1]),
        ],
    ]
    for command in steps:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            fail(
                "uv, which installs the Python packages, could not be installed.",
                "On Debian, venv is a package of its own: apt-get install python3-venv. Else check your package index.",
                result.stderr or result.stdout,
            )
            return None
    return str(binary)


def fail(what: str, remedy: str, detail: str = "") -> int:
    print(f"error: {what} {remedy}", file=sys.stderr)
    if detail.strip():
        print("\n".join(detail.strip().splitlines()[-5:]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
