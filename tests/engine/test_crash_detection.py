"""A flow's process that is killed, on a real Prefect server: its run becomes Crashed, and no other run does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.registration import automation
from infra.registration.automation import AutomationArgs, AutomationProvider
from infra.registration.endpoint import Url
from infra.wiring import crash_detection
from tools.cluster.process import with_variable
from tools.cluster.wait import until

FLOW = """
import time

from prefect import flow


@flow
def long():
    time.sleep(600)
"""
SILENCE = 10
"""Seconds, the fewest that Prefect takes."""

DEADLINE = 120.0
"""Seconds that a step may take on a busy machine."""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[[str, str], subprocess.Popen[bytes]]]:
    """Execute flow runs as a flow pod does, and end what is left."""
    (tmp_path / "silent.py").write_text(FLOW)
    started: dict[str, subprocess.Popen[bytes]] = {}

    def execute(address: str, run: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "flow-run", "execute", run],
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
                "PREFECT_API_URL": address,
                "PREFECT_HOME": str(tmp_path / "home"),
                "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started[run] = process
        return process

    yield execute
    for run, process in started.items():
        _kill(run, process)


def _kill(run: str, process: subprocess.Popen[bytes]) -> None:
    """Kill a run's process, and the one that it has started in a session apart."""
    process.kill()
    process.wait()
    for each in with_variable("PREFECT__FLOW_RUN_ID", run):
        each.signal(signal.SIGKILL)


def _wait(what: str, true: Callable[[], bool]) -> None:
    assert until(true, seconds=DEADLINE, interval=0.3), f"{what} did not happen within {DEADLINE:.0f} s"


def test_a_run_whose_process_was_killed_becomes_crashed_if_its_deployment_is_ours(
    whole_prefect_server: str, make_prefect: Callable[[str], Any], runs: Any
) -> None:
    prefect = make_prefect(whole_prefect_server)
    flow = prefect.call("POST", "/flows/", {"name": "long"})
    made: dict[str, tuple[str, str]] = {}
    for name in ("ours", "theirs"):
        body = {"name": name, "flow_id": flow["id"], "entrypoint": "silent.py:long", "path": ".", "pull_steps": []}
        deployment = prefect.call("POST", "/deployments/", body)["id"]
        run = prefect.call("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]
        made[name] = (deployment, run)
    ours, theirs = made["ours"], made["theirs"]
    args = AutomationArgs(
        endpoint=Url(url=whole_prefect_server),
        name="watch",
        trigger={
            **crash_detection.trigger([], SILENCE),
            "match_related": {
                "prefect.resource.role": "deployment",
                "prefect.resource.id": [f"prefect.deployment.{ours[0]}"],
            },
        },
        actions=[crash_detection.action(SILENCE)],
    )
    AutomationProvider().create(automation.inputs(args, "project/dev/watch"))

    def state(run: str) -> str:
        return str(prefect.call("GET", f"/flow_runs/{run}")["state"]["type"])

    def heartbeats() -> int:
        query = {"filter": {"event": {"name": [crash_detection.HEARTBEAT]}}}
        events = prefect.call("POST", "/events/filter", query)["events"]
        return len({event["resource"]["prefect.resource.id"] for event in events})

    # Theirs first: if it were watched, it would become Crashed before ours.
    processes = {}
    for count, (_, run) in enumerate((theirs, ours), start=1):
        processes[run] = runs(whole_prefect_server, run)
        _wait(f"heartbeat of run {count}", lambda: heartbeats() == count)  # noqa: B023  used within its turn
    assert (state(ours[1]), state(theirs[1])) == ("RUNNING", "RUNNING")
    for run, process in processes.items():
        _kill(run, process)
    _wait("the processes' end", lambda: not any(with_variable("PREFECT__FLOW_RUN_ID", run) for run in processes))
    _wait("the run's crash", lambda: state(ours[1]) == "CRASHED")
    said = prefect.call("GET", f"/flow_runs/{ours[1]}")["state"]["message"]
    assert "No heartbeat for 10 seconds" in said
    assert state(theirs[1]) == "RUNNING"
