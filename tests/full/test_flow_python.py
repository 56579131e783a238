"""A flow image on Python 3.13, that of Debian 13, beside the platform image on 3.11."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ephemeral_dask.contract import environment as env
from tests.e2e import runs
from tests.e2e.newcomer import Newcomer
from tests.full.edited import edited
from tools.cluster import Layout, images, local_registry
from tools.cluster.images import Built

FLOW = '''
"""A flow in the syntax of Python 3.12 and 3.13, with a class of its own."""

import sys

from prefect import flow, task
from pydantic import BaseModel

from ephemeral_dask import ephemeral_dask

type Numbers = list[int]


class Box[T = int](BaseModel):
    value: T
    python: str = ""


def python() -> str:
    return f"{".".join(map(str, sys.version_info[:2]))}"


@task
def double[T: (int, float)](box: Box[T]) -> Box[T]:
    return Box(value=box.value * 2, python=python())


@flow(task_runner=ephemeral_dask(minimum=1, maximum=1, worker_cpu="200m", worker_memory="768Mi"))
def modern(numbers: Numbers) -> str:
    boxes = double.map([Box(value=each) for each in numbers]).result()
    return f"{sum(box.value for box in boxes)} on {" ".join(sorted({python(), *(box.python for box in boxes)}))}"
'''
DEPLOYMENT = {
    "name": "default",
    "entrypoint": "flows.modern.modern",
    "parameters": {"numbers": [1, 2, 3]},
    "work_pool": {"name": "modern"},
}


@pytest.fixture(scope="module")
def base() -> Built:
    """Return an image of Debian 13."""
    return images.ensure(images.debian_python("debian13-python", "trixie"), Layout().images)


@pytest.fixture(scope="module")
def interpreter(base: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `python3.13`: that of Debian 13, in its own root folder."""
    root, folder = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("bin")
    with tarfile.open(base.folder / "layer.tar.gz") as layer:
        layer.extractall(root, filter="tar")
    program = folder / "python3.13"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("chroot")} {root} /usr/bin/python3.13 "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def modern(newcomer: Newcomer, base: Built, interpreter: Path) -> Iterator[Newcomer]:
    """Provide a user whose stack has a second work pool, with the image and a flow for it."""
    local_registry.push([base])
    settings, content = (
        yaml.safe_load((newcomer.clone / name).read_text()) for name in ("Pulumi.dev.yaml", "prefect.yaml")
    )
    build = {"python": "3.13", "base": local_registry.reference(base)}
    settings["config"]["ephemeral-dask:image"]["flows"] = {"modern": build}
    settings["config"]["ephemeral-dask:workPools"] = {"dask": {}, "modern": {"image": "modern"}}
    content["deployments"].append(DEPLOYMENT)
    texts = {
        "Pulumi.dev.yaml": yaml.safe_dump(settings, sort_keys=False),
        "prefect.yaml": yaml.safe_dump(content, sort_keys=False),
        "flows/modern.py": FLOW,
    }
    path = f"{interpreter}{os.pathsep}{newcomer.environment['PATH']}"
    user = replace(newcomer, environment={**newcomer.environment, "PATH": path})
    with edited(user, texts):
        yield user


def test_a_flow_in_newer_syntax_runs_on_python_3_13_beside_a_platform_on_3_11(modern: Newcomer) -> None:
    schema = runs.ask(modern, "(await client.read_deployment_by_name('modern/default')).parameter_openapi_schema")
    assert schema["properties"]["numbers"]["$ref"] == "#/definitions/Numbers"
    assert schema["definitions"]["Numbers"] == {"items": {"type": "integer"}, "type": "array"}
    done = modern.make("run", "FLOW=modern/default")
    assert done.status == 0, done.progress
    assert 'result: "12 on 3.13"' in done.output + done.progress
    platform = modern.kubectl("exec", "deploy/prefect-server", "--", "python", "--version")
    assert platform.startswith("Python 3.11.")


@pytest.fixture
def dask_pods_of_the_other_image(modern: Newcomer) -> Iterator[None]:
    """Let the flow pods of the work pool give the image of the other pool to their Dask pods."""
    other = runs.ask(modern, "(await client.read_work_pool('dask')).base_job_template")["variables"]["properties"]

    def change(template: dict[str, Any]) -> None:
        template["job_configuration"]["env"][env.IMAGE] = other["image"]["default"]

    with runs.changed_work_pool(modern, change, pool="modern"):
        yield


@pytest.mark.usefixtures("dask_pods_of_the_other_image")
def test_a_run_whose_dask_pods_have_another_python_ends_and_names_both_versions(modern: Newcomer) -> None:
    run = modern.start("modern/default")
    kind, message = runs.ended(modern, run, seconds=300)
    shown = f"{message}\n{runs.logged(modern, run)}"
    assert kind in ("FAILED", "CRASHED"), shown
    assert "python is 3.13." in shown
    assert "scheduler has 3.11." in shown
