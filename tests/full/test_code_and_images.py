"""The how-tos of docs/code-and-images.md on the real cluster: an image of one's own, and code that a run fetches."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e.newcomer import Newcomer
from tests.full.test_patterns import result
from tests.full.test_runs import ended, logged
from tests.support.scratch_prefect import free_port
from tools.cluster.wait import until

IN_THE_IMAGE: Final = '''
"""A flow as it was when the image was built."""

from prefect import flow

from ephemeral_dask import ephemeral_dask


@flow(task_runner=ephemeral_dask(minimum=1, maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def daily(number: int = 2) -> int:
    """Return the number: the repository has another version."""
    return number
'''
IN_THE_REPOSITORY: Final = {
    "flows/__init__.py": "",
    "flows/rows.py": '''
"""A class that no image has."""


class Row:
    """A number."""

    def __init__(self, number: int) -> None:
        self.number = number
''',
    "flows/daily.py": '''
"""A flow with classes, one of a file beside it, which needs what was added to the image."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task

from ephemeral_dask import ephemeral_dask

from .rows import Row


@dataclass(frozen=True)
class Total:
    amount: int


@task
def total(row: Row) -> Total:
    ctypes.CDLL("libgomp.so.1")
    return Total(row.number * int(Path("/etc/factor").read_text()))


@flow(task_runner=ephemeral_dask(minimum=1, maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def daily(number: int = 2) -> int:
    made = total.submit(Row(number)).result()
    if type(made) is not Total:
        raise TypeError(f"the result came back as {type(made)}")
    return made.amount
''',
}
LAST_LINE_AS_ROOT: Final = "USER 10001:10001\nCOPY --from=flow-packages"
"""Where the stage `flow` of the Dockerfile ends to be root."""


@contextlib.contextmanager
def served(folder: Path, host: str) -> Iterator[str]:
    """Serve the Git repositories of a folder and return their address."""
    port = free_port()
    options = ("--reuseaddr", "--export-all", f"--base-path={folder}", f"--listen={host}", f"--port={port}")
    with subprocess.Popen(["git", "daemon", *options]) as server:
        try:
            assert until(lambda: answers(host, port), seconds=30, interval=0.2), "git daemon is silent"
            yield f"git://{host}:{port}"
        finally:
            server.terminate()


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


@pytest.fixture(scope="module")
def repository(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a Git repository at the address of the node, where pods find it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("served")
    for name, text in IN_THE_REPOSITORY.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for words in (
        ("init", "-q"),
        ("add", "."),
        (*identity, "commit", "-q", "-m", "flow"),
        ("clone", "-q", "--bare", ".", str(folder / "flows.git")),
    ):
        subprocess.run(["git", *words], cwd=source, check=True)
    addresses = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    with served(folder, newcomer.kubectl("get", "nodes", "-o", addresses)) as address:
        yield f"{address}/flows.git"


@pytest.fixture(scope="module")
def changed(newcomer: Newcomer, repository: str) -> Iterator[Newcomer]:
    """Add a package and a command to the flow image, and a deployment with a pull step; take all out in the end."""
    clone = newcomer.clone
    names = ("Pulumi.dev.yaml", "prefect.yaml", "Dockerfile")
    before = {name: (clone / name).read_text() for name in names}
    stack, project = (yaml.safe_load(before[name]) for name in names[:2])
    stack["config"]["ephemeral-dask:image"].setdefault("flow", {})["aptPackages"] = ["libgomp1"]
    host, port = repository.removeprefix("git://").partition("/")[0].split(":")
    stack["config"]["ephemeral-dask:network"] = {"data": [{"cidr": f"{host}/32", "ports": [int(port)]}]}
    deployment: dict[str, Any] = {
        "name": "pulled",
        "entrypoint": "flows/daily.py:daily",
        "work_pool": {"name": "dask"},
        "pull": [{"prefect.deployments.steps.git_clone": {"repository": repository}}],
    }
    project["deployments"].append(deployment)
    dockerfile = before["Dockerfile"].replace(LAST_LINE_AS_ROOT, f"RUN echo 21 > /etc/factor\n{LAST_LINE_AS_ROOT}")
    assert dockerfile != before["Dockerfile"]
    (clone / "flows" / "daily.py").write_text(IN_THE_IMAGE)
    for name, text in zip(names, (*map(yaml.safe_dump, (stack, project)), dockerfile), strict=True):
        (clone / name).write_text(text)
    try:
        done = newcomer.make("up")
        assert done.status == 0, done.progress
        yield newcomer
    finally:
        (clone / "flows" / "daily.py").unlink()
        for name, text in before.items():
            (clone / name).write_text(text)
        done = newcomer.make("up")
        assert done.status == 0, done.progress


def test_a_run_with_fetched_classes_completes_on_an_image_with_a_package_and_a_command_of_its_own(
    changed: Newcomer,
) -> None:
    run = changed.start("daily/pulled")
    assert ended(changed, run) == "COMPLETED", logged(changed, run)
    assert result(changed, run) == 42
