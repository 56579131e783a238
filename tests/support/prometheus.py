"""Prometheus and promtool: those of the machine, or of Debian's package, unpacked without its service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.support.scratch_prefect import answers, free_port
from tools.cluster.wait import until
from tools.errors import Problem
from tools.paths import cache_dir

_FOLDER: Final = "prometheus"
_PACKAGE_MINUTES: Final = 5


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`.

    Raises:
        Problem: the machine has neither the program nor Debian's packages.

    """
    if path := shutil.which(name):
        return path
    path = cache_dir() / _FOLDER / "usr" / "bin" / name
    if not path.exists():
        _unpack(cache_dir() / _FOLDER)
    return str(path)


def _unpack(folder: Path) -> None:
    """Unpack the package beside the folder, and then move it there: two processes of a test run may do so at once."""
    partial = folder.with_name(f"{_FOLDER}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        _run("apt-get", "download", "prometheus", cwd=partial)
        [package] = partial.glob("*.deb")
        _run("dpkg", "-x", str(package), str(partial), cwd=partial)
        package.unlink()
        if not folder.exists():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=60 * _PACKAGE_MINUTES, check=False
        )
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
    if done.returncode != 0:
        raise Problem(
            f"{command[0]} cannot unpack Debian's package prometheus",
            remedy="Install Prometheus, or run `apt-get update`",
            detail=done.stderr[-1000:],
        )


@contextmanager
def running(folder: Path, targets: Mapping[str, Any]) -> Iterator[httpx.Client]:
    """Run a server that scrapes targets every second, and yield a client of its API.

    Args:
        folder: an empty one.
        targets: name of a job -> its section `static_configs`, and further settings of it.

    """
    port = free_port()
    jobs = [{"job_name": name, **job} for name, job in targets.items()]
    settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        if not until(lambda: answers(f"{address}/-/ready"), seconds=60, interval=0.1):
            raise Problem("Prometheus did not start", remedy="Read its log below", detail=log.read_text()[-2000:])
        with httpx.Client(base_url=f"{address}/api/v1", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(timeout=20)
