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
from tests.full.edited import edited
from tests.full.test_patterns import result
from tests.full.test_runs import ended, logged
from tests.support import flow_pod, repository
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
def address(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a Git repository at the address of the node, where pods find it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("served")
    flow_pod.write(source, IN_THE_REPOSITORY)
    repository.create(source)
    repository.commit(source)
    repository.git(source, "clone", "--quiet", "--bare", ".", str(folder / "flows.git"))
    with served(folder, node) as server:
        yield f"{server}/flows.git"


@pytest.fixture(scope="module")
def changed(newcomer: Newcomer, address: str) -> Iterator[Newcomer]:
    """Add a package and a command to the flow image, and a deployment with a pull step; take all out in the end."""
    stack, project, dockerfile = (
        (newcomer.clone / name).read_text() for name in ("Pulumi.dev.yaml", "prefect.yaml", "Dockerfile")
    )
    settings, content = yaml.safe_load(stack), yaml.safe_load(project)
    settings["config"]["ephemeral-dask:image"].setdefault("flow", {})["aptPackages"] = ["libgomp1"]
    host, port = address.removeprefix("git://").partition("/")[0].split(":")
    settings["config"]["ephemeral-dask:network"] = {"data": [{"cidr": f"{host}/32", "ports": [int(port)]}]}
    deployment: dict[str, Any] = {
        "name": "pulled",
        "entrypoint": "flows/daily.py:daily",
        "work_pool": {"name": "dask"},
        "pull": [{"prefect.deployments.steps.git_clone": {"repository": address}}],
    }
    content["deployments"].append(deployment)
    assert LAST_LINE_AS_ROOT in dockerfile
    texts = {
        "Pulumi.dev.yaml": yaml.safe_dump(settings),
        "prefect.yaml": yaml.safe_dump(content),
        "Dockerfile": dockerfile.replace(LAST_LINE_AS_ROOT, f"RUN echo 21 > /etc/factor\n{LAST_LINE_AS_ROOT}"),
        "flows/daily.py": IN_THE_IMAGE,
    }
    with edited(newcomer, texts):
        yield newcomer


def test_a_run_with_fetched_classes_completes_on_an_image_with_a_package_and_a_command_of_its_own(
    changed: Newcomer,
) -> None:
    run = changed.start("daily/pulled")
    assert ended(changed, run) == "COMPLETED", logged(changed, run)
    assert result(changed, run) == 42
