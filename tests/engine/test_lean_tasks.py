"""The shorter way of tasks to Dask workers changes nothing that a flow, its log or the Prefect server shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.conftest import QUIET
from tests.support import scratch_prefect
from tools.cluster.wait import until
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("lean-tasks")

RECORDED = 120.0
"""Seconds in which a busy server records the last task runs and logs of a run."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scratch_prefect.running(tmp_path_factory.mktemp("prefect-of-tasks"), settings=QUIET) as address:
        yield address


@pytest.fixture(scope="module")
def runs(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the flow returned with each of the two task runners."""
    home = tmp_path_factory.mktemp("flow")
    environment = {**scratch_prefect.environment(home), "PREFECT_API_URL": server, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.engine.lean_tasks", str(home / "outcome.json")]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    outcome: dict[str, Any] = json.loads((home / "outcome.json").read_text())
    return outcome


def normalized(text: str) -> str:
    """A text without what differs from run to run: IDs, the random part of names, and the salt of the cache."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "ID", text)
    text = re.sub(r"(?<=[a-z_]-)[0-9a-f]{3}\b", "KEY", text)
    return re.sub(r"'[a-z]+-[a-z]+'|\d+ (?:milli)?seconds?", "NAME", text)


def comparable(returned: dict[str, Any], salt: int) -> Any:
    """What a flow returned, without the salt of its cache."""
    text = json.dumps(returned)
    assert f'"salt": {salt}' in text
    return json.loads(normalized(text.replace(f'"salt": {salt}', '"salt": 0')))


def read(server: str, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    with scratch_prefect.client(server) as client:
        response = client.post(path, json={**query, "limit": 200})
        response.raise_for_status()
        rows: list[dict[str, Any]] = response.json()
        return rows


def task_runs(server: str, flow_run_id: str) -> list[dict[str, Any]]:
    return read(server, "/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})


def logs(server: str, flow_run_id: str) -> list[dict[str, Any]]:
    return read(server, "/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run_id]}}})


def settled(server: str, flow_run_id: str) -> list[dict[str, Any]]:
    """The task runs, once the server has recorded the end of each and its last log line."""

    def complete() -> bool:
        rows = task_runs(server, flow_run_id)
        logged = {row["task_run_id"] for row in logs(server, flow_run_id) if "Finished in state" in row["message"]}
        ended = {row["id"] for row in rows if row["state_type"] not in ("PENDING", "RUNNING") or row["id"] in logged}
        silent = {row["id"] for row in rows if row["name"].startswith("inner-")}  # the subflow has a log of its own
        return len(rows) == TASK_RUNS and {row["id"] for row in rows} <= ended & (logged | silent)

    assert until(complete, seconds=RECORDED, interval=0.5), [
        (row["name"], row["state_name"]) for row in task_runs(server, flow_run_id)
    ]
    return task_runs(server, flow_run_id)


TASK_RUNS = 29
"""Those of the flow `many_kinds` itself: what its subflow calls belongs to that."""


def test_tasks_return_the_same_and_end_the_same_way(runs: dict[str, Any]) -> None:
    stock, lean = (dict(runs[name]) for name in ("DaskTaskRunner", "LeanDaskTaskRunner"))
    assert stock.pop("id") != lean.pop("id")
    assert comparable(lean, salt=1) == comparable(stock, salt=0)
    assert lean["flaky"] == 2
    assert lean["cached"] == ["Completed", "Cached", 1]
    assert lean["refreshed"] == "Completed"
    assert (lean["old"], lean["new"]) == ("old", "new")
    assert lean["plain"]["task"][1] == ["outer"]
    assert (lean["settings"]["retries"], lean["settings"]["refresh"]) == (3, True)
    assert (lean["profile"]["profile"], lean["profile"]["retries"]) == ("other", 2)
    assert lean["spoiled"] == [[1, 2, 3, 99]] * 3
    assert lean["flow in a task"] == 15


def test_the_server_records_the_same_task_runs(server: str, runs: dict[str, Any]) -> None:
    def recorded(name: str) -> Counter[str]:
        return Counter(
            normalized(
                json.dumps(
                    [
                        row["name"],
                        row["state_type"],
                        row["state_name"],
                        sorted(row["tags"]),
                        row["run_count"],
                        {key: [part["input_type"] for part in parts] for key, parts in row["task_inputs"].items()},
                        row["empirical_policy"]["retries"],
                    ]
                )
            )
            for row in settled(server, runs[name]["id"])
        )

    lean = recorded("LeanDaskTaskRunner")
    assert lean == recorded("DaskTaskRunner")
    text = "\n".join(lean)
    assert '["greet you", "COMPLETED", "Completed", ["outer", "own"], 1' in text
    assert '"Cached"' in text


def test_the_same_lines_of_the_tasks_reach_the_log_of_the_run(server: str, runs: dict[str, Any]) -> None:
    def logged(name: str) -> Counter[tuple[int, str, bool]]:
        settled(server, runs[name]["id"])
        return Counter(
            (row["level"], normalized(row["message"].split("Traceback")[0]), row["task_run_id"] is not None)
            for row in logs(server, runs[name]["id"])
            if row["task_run_id"] is not None
        )

    lean = logged("LeanDaskTaskRunner")
    assert lean == logged("DaskTaskRunner")
    assert (20, "printed you", True) in lean
    assert (20, "logged you", True) in lean
    assert any("Retry 1/2 will start" in message for _, message, _ in lean)
