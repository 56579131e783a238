"""Flows whose code is fetched when a run starts, run as in a flow pod, with Dask workers that do not have that code."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import flow_pod, repository
from tests.support.flow_pod import FlowPod
from tests.support.scratch_prefect import free_port
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("pull-steps")

FILES = {
    "flows/__init__.py": "",
    "flows/helper.py": "RATE = 3",
    "flows/rates.csv": "3",
    "flows/shape.py": """
        class Row:
            def __init__(self, number: int) -> None:
                self.number = number
    """,
    "flows/daily.py": '''
        """A flow that only the repository has, with a class of its own and one of a file beside it."""
        from dataclasses import dataclass
        from pathlib import Path

        from distributed import Client
        from prefect import flow, task
        from prefect_dask import DaskTaskRunner

        from ephemeral_dask import pulled_code

        from .shape import Row

        @dataclass(frozen=True)
        class Total:
            amount: int

        @task
        def total(row: Row) -> Total:
            from flows.helper import RATE

            assert int((Path(__file__).parent / "rates.csv").read_text()) == RATE
            return Total(row.number * RATE)

        @flow(task_runner=DaskTaskRunner(address="ADDRESS"))
        def daily() -> None:
            with Client("ADDRESS") as client:  # what RunCluster does when the run's own cluster has started
                client.sync(pulled_code.share, client.scheduler, pulled_code.current())
            made = total.submit(Row(2)).result()
            assert type(made) is Total and made.amount == 6, made
    ''',
}
PREFECT_YAML = """
pull:
  - prefect.deployments.steps.git_clone:
      repository: REPOSITORY
deployments:
  - {name: by-file, entrypoint: "flows/daily.py:daily", work_pool: {name: pulled}}
  - {name: by-module, entrypoint: flows.daily.daily, work_pool: {name: pulled}}
  - name: unreachable
    entrypoint: flows/daily.py:daily
    work_pool: {name: pulled}
    pull:
      - prefect.deployments.steps.git_clone:
          repository: http://user:TOKEN@127.0.0.1:1/acme/flows.git
  - name: branch
    entrypoint: flows/daily.py:daily
    work_pool: {name: pulled}
    pull:
      - prefect.deployments.steps.git_clone:
          id: code
          repository: REPOSITORY
          branch: nonexistent
  - name: block
    entrypoint: flows/daily.py:daily
    work_pool: {name: pulled}
    pull:
      - prefect.deployments.steps.set_working_directory: {directory: /tmp}
      - prefect.deployments.steps.git_clone:
          repository: https://127.0.0.1/acme/flows.git
          access_token: "{{ prefect.blocks.secret.nonexistent }}"
"""


def committed(folder: Path, address: str) -> Path:
    """Make a Git repository with the flow."""
    flow_pod.write(folder, FILES, ADDRESS=address)
    repository.create(folder)
    repository.commit(folder)
    return folder


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[FlowPod]:
    """Start a Dask scheduler and a worker without the code, and register the deployments as the stack does."""
    assert shutil.which("git"), "pull steps need git, here as in the flow image"
    home, image, port = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("image"), free_port()
    source = committed(tmp_path_factory.mktemp("repository"), f"tcp://127.0.0.1:{port}")
    (source / "prefect.yaml").write_text(PREFECT_YAML.replace("REPOSITORY", json.dumps(f"file://{source}")))
    environment = flow_pod.environment(home, prefect_server, ROOT)
    with (
        flow_pod.dask_pods(port, home, environment),
        flow_pod.registered(source / "prefect.yaml", "pulled", prefect_server),
    ):
        yield FlowPod(prefect_server, image, environment)


@pytest.mark.parametrize("deployment", ["by-file", "by-module"])
def test_pulled_code_reaches_scheduler_and_workers(deployment: str, pod: FlowPod) -> None:
    ended = pod.execute("daily", deployment)
    assert ended.state["type"] == "COMPLETED", ended


SENTENCES = {
    "unreachable": (
        r"Pull step git_clone \(http://127.0.0.1:1/acme/flows.git\) failed: unable to access"
        r" 'http://127.0.0.1:1/acme/flows.git/': Failed to connect to 127.0.0.1 port 1.*; check the address, and"
        r" whether the stack's network.data lets flow pods connect to it"
    ),
    "branch": (
        r"Pull step git_clone \(branch nonexistent of file://\S+\) failed: Remote branch nonexistent not found in"
        r" upstream origin; check repository, branch and credentials of the step in prefect.yaml"
    ),
    "block": (
        r"Pull step git_clone \(https://127.0.0.1/acme/flows.git\) failed: Block not found: 'nonexistent' of type"
        r" 'secret'; create the block in Prefect, or correct its name in prefect.yaml"
    ),
}


@pytest.mark.parametrize("deployment", SENTENCES)
def test_a_pull_step_that_fails_ends_the_run_with_one_sentence(deployment: str, pod: FlowPod) -> None:
    ended = pod.execute("daily", deployment)
    assert ended.state["type"] == "CRASHED", ended
    assert re.fullmatch(SENTENCES[deployment], ended.state["message"]), ended
    assert ended.state["message"] in ended.logs
    assert not [text for text in (*ended.logs, ended.output) if "TOKEN" in text]
    assert not [text for text in ended.logs if "Traceback" in text]


def test_prefect_by_itself_still_does_not_say_which_step_failed(pod: FlowPod) -> None:
    by_itself = replace(pod, environment={**pod.environment, "PREFECT_PLUGINS_ENABLED": "false"})
    ended = by_itself.execute("daily", "block")
    assert ended.state["type"] == "CRASHED", ended
    messages = (ended.state["message"], *ended.logs)
    assert not [text for text in messages if "Block not found" in text], "remove ephemeral_dask/pull_steps.py"
