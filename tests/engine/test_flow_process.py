"""The process of a flow as a copy of the one that follows its run, beside an interpreter of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ephemeral_dask.contract.environment import PREPARED_PROCESS
from tests.support import flow_pod
from tests.support.flow_pod import FlowPod
from tools.cluster.wait import until
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("flow-process")

COPIED = "prefect.cli.flow_run"
"""A module of the process that follows a run, which an interpreter of a flow's own does not import."""

FILES = {
    "steps.py": """
        def harmless() -> None: ...
    """,
    "flows/__init__.py": "",
    "flows/report.py": '''
        """Tells what a flow finds in its process."""
        import json, multiprocessing, os, sys, threading, time
        from concurrent.futures import ProcessPoolExecutor
        from pathlib import Path

        from prefect import flow
        from prefect.settings import get_current_settings

        @flow
        def report(file: str, code: int = 0, seconds: float = 0, signal: int = 0) -> None:
            main = sys.modules["__main__"]
            found = {
                "arguments": [sys.argv, sys.orig_argv],
                "path": sys.path,
                "folder": os.getcwd(),
                "environment": {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")},
                "own variables": sorted(name for name in os.environ if name.startswith("PREFECT__")),
                "main": [main.__name__, main.__spec__.name],
                "settings": get_current_settings().model_dump(mode="json"),
                "leads its group": os.getpgid(0) == os.getpid(),
                "is the main thread": threading.current_thread() is threading.main_thread(),
                "children": _spawned(),
                "imported": sorted(name for name in sys.modules if name.startswith("prefect.cli")),
            }
            Path(file).write_text(json.dumps({**found, "pid": os.getpid()}))
            time.sleep(seconds)
            if code:
                os._exit(code)
            if signal:
                os.kill(os.getpid(), signal)

        def _spawned() -> list[int]:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                return list(pool.map(abs, [-1, 2]))
    ''',
    "prefect.yaml": """
        deployments:
          - {name: nothing, entrypoint: "flows/report.py:report", pull: [], work_pool: {name: flow-process}}
          - name: folder
            entrypoint: flows.report.report
            pull: [{prefect.deployments.steps.set_working_directory: {directory: "FOLDER"}}]
            work_pool: {name: flow-process}
          - name: variable
            entrypoint: flows.report.report
            pull:
              - prefect.deployments.steps.run_shell_script: {script: "true"}
              - prefect.deployments.steps.set_working_directory: {directory: "FOLDER"}
            work_pool: {name: flow-process}
          - name: own-step
            entrypoint: flows.report.report
            pull:
              - steps.harmless: {}
              - prefect.deployments.steps.set_working_directory: {directory: "FOLDER"}
            work_pool: {name: flow-process}
    """,
}


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[FlowPod]:
    """Write the project and register its deployments."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("app")
    flow_pod.write(folder, FILES, FOLDER=str(folder))
    environment = flow_pod.environment(home, prefect_server, folder, ROOT)
    with flow_pod.registered(folder / "prefect.yaml", "flow-process", prefect_server):
        yield FlowPod(prefect_server, folder, environment)


def own_interpreter(pod: FlowPod) -> FlowPod:
    return replace(pod, environment={**pod.environment, PREPARED_PROCESS: "false"})


def reported(pod: FlowPod, deployment: str, file: Path, **parameters: Any) -> dict[str, Any]:
    ended = pod.execute("report", deployment, {"file": str(file), **parameters})
    assert ended.state["type"] == "COMPLETED", ended
    report: dict[str, Any] = json.loads(file.read_text())
    return report


@pytest.mark.parametrize("deployment", ["nothing", "folder"])
def test_a_flow_finds_in_a_copied_process_what_it_finds_in_an_interpreter_of_its_own(
    deployment: str, pod: FlowPod, tmp_path: Path
) -> None:
    copied = reported(pod, deployment, tmp_path / "copied")
    released = reported(own_interpreter(pod), deployment, tmp_path / "released")
    assert COPIED in copied.pop("imported")
    assert COPIED not in released.pop("imported"), "Prefect starts no interpreter: remove prepared_process.py"
    assert released["environment"].pop(PREPARED_PROCESS) == "false"
    for each in (copied, released):
        del each["pid"]
    # The folder of a run without a working directory is its own.
    folders = copied["folder"], released["folder"]
    assert json.loads(json.dumps(copied).replace(*folders)) == released


@pytest.mark.parametrize("deployment", ["variable", "own-step"])
def test_a_flow_has_an_interpreter_of_its_own_after_a_pull_step_that_may_change_more_than_files(
    deployment: str, pod: FlowPod, tmp_path: Path
) -> None:
    assert COPIED not in reported(pod, deployment, tmp_path / "report")["imported"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"code": 3}, "Process exited with status code: 3"), ({"signal": 9}, "Process exited with status code: -9")],
    ids=["exit", "signal"],
)
def test_a_process_that_ends_during_its_flow_crashes_the_run_with_its_status(
    parameters: Mapping[str, int], message: str, pod: FlowPod, tmp_path: Path
) -> None:
    ended = pod.execute("report", "folder", {"file": str(tmp_path / "report"), **parameters})
    assert ended.state["type"] == "CRASHED", ended
    assert ended.state["message"].startswith(message), ended
    assert COPIED in json.loads((tmp_path / "report").read_text())["imported"]


def test_a_pod_that_is_terminated_reschedules_its_run_and_leaves_no_process(pod: FlowPod, tmp_path: Path) -> None:
    file = tmp_path / "report"
    run = pod.create("report", "folder", {"file": str(file), "seconds": 120})
    environment = {**pod.environment, "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
    with subprocess.Popen(
        flow_pod.command(run),
        cwd=pod.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert until(file.exists, seconds=60, interval=0.2), "the flow did not begin"
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, output
    ended = pod.ended(run, output)
    assert (ended.state["type"], ended.state["name"]) == ("SCHEDULED", "AwaitingRetry"), ended
    report = json.loads(file.read_text())
    assert COPIED in report["imported"]
    with pytest.raises(ProcessLookupError):
        os.kill(report["pid"], 0)
