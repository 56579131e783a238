"""The verbs about runs on a real Prefect server: runs that start, fail, are interrupted and are cancelled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists
from prefect.utilities.callables import parameter_schema

from tests.engine.conftest import QUIET
from tests.support import scratch_prefect
from tools.cluster.wait import until
from tools.errors import Problem
from tools.runs.arguments import parse
from tools.runs.session import Session, api
from tools.runs.verbs import Request, start

FLOW = """
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact


@task
def divide(number, by):
    get_run_logger().info("dividing %s", number)
    return number / by


@flow(name="Division 日本")
def division(count: int = 3, by: int = 1):
    quotients = divide.map(list(range(count)), by=by).result()
    create_table_artifact([{"quotient": each} for each in quotients], "quotients")
    return sum(quotients)
"""
SESSION = Session(namespace="flows", kubeconfig="/nonexistent/kubeconfig", options=" STACK=test")
DEPLOYMENT = "Division 日本/with space 🙂"


def division(count: int = 3, by: int = 1) -> None: ...


pytestmark = pytest.mark.xdist_group("runs")
"""The tests share a server."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prefect server with its services: one of them records the task runs that are counted here."""
    with scratch_prefect.running(tmp_path_factory.mktemp("prefect-with-services"), settings=QUIET) as address:
        yield address


@pytest.fixture
def client(server: str, tmp_path: Path) -> Iterator[SyncPrefectClient]:
    """The API with one deployment of the flow above."""
    (tmp_path / "division.py").write_text(FLOW)
    with api(server, {}), get_client(sync_client=True) as prefect:
        with contextlib.suppress(ObjectAlreadyExists):
            prefect.create_work_pool(WorkPoolCreate(name="runs", type="process"))
        flow = prefect.create_flow_from_name("Division 日本")
        prefect.create_deployment(
            flow,
            "with space 🙂",
            work_pool_name="runs",
            entrypoint="division.py:division",
            path=str(tmp_path),
            parameter_openapi_schema=parameter_schema(division).model_dump(),
            enforce_parameter_schema=True,
        )
        prefect.create_deployment(prefect.create_flow_from_name("Daily's"), "at 6")
        yield prefect


def request(parameters: str = "", **more: Any) -> Request:
    return Request(deployment=DEPLOYMENT, parameters=parse(parameters, "PARAMS"), **more)


def executing(client: SyncPrefectClient, url: str, name: str, home: Path) -> threading.Thread:
    """A thread in which the run of that name is executed, as soon as it exists, in a process of its own."""

    def is_there() -> bool:
        return newest_named(client, name) is not None

    def execute() -> None:
        assert until(is_there, seconds=60, interval=0.2)
        flow_run = newest_named(client, name)
        assert flow_run is not None
        environment = {**os.environ, "PREFECT_API_URL": url, "PREFECT_HOME": str(home)}
        command = [sys.executable, "-m", "prefect", "flow-run", "execute", str(flow_run.id)]
        subprocess.run(command, cwd=home, env=environment, check=False, capture_output=True)

    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    return thread


def newest_named(client: SyncPrefectClient, name: str) -> FlowRun | None:
    runs = client.read_flow_runs(limit=20, sort="EXPECTED_START_TIME_DESC")  # type: ignore[arg-type]
    return next((run for run in runs if run.name == name), None)


def test_a_run_is_followed_to_its_end_with_its_log_its_counts_and_its_artifacts(
    client: SyncPrefectClient, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = executing(client, server, "good one", tmp_path)
    status = start(SESSION, request("count=4", name="good one", tags=("a", "b")))
    thread.join()
    output = capsys.readouterr()
    assert status == 0
    assert output.err.count("dividing ") == 4
    assert "tasks: 4, none failed" in output.err
    assert f"run good one of {DEPLOYMENT}: Completed after " in output.err
    assert "Finished in state" not in output.err
    assert "quotients" in output.out
    assert sorted(newest_named(client, "good one").tags) == ["a", "b"]  # type: ignore[union-attr]


def test_a_run_that_fails_names_its_task_and_shows_the_persons_own_line_first(
    client: SyncPrefectClient, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = executing(client, server, "bad one", tmp_path)
    status = start(SESSION, request("by=0", name="bad one"))
    thread.join()
    shown = capsys.readouterr().err
    assert status == 1
    report = shown[shown.index("failed: task divide-") :].splitlines()
    assert "the first of 3 failed tasks" in report[0]
    assert report[1].strip() == "division.py:9 in divide"
    assert report[2].strip() == "return number / by"
    assert report[3].strip() == "ZeroDivisionError: division by zero"
    assert "prefect/" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"deployment": "Division 日本"}, f"Set FLOW='{DEPLOYMENT}'"),
        ({"deployment": "Divison 日本/with space"}, f"did you mean '{DEPLOYMENT}'?"),
        ({"deployment": "Daily's"}, "Set FLOW='Daily'\"'\"'s/at 6'"),
        ({"deployment": ""}, "FLOW is not set"),
        ({"parameters": parse("conut=1", "PARAMS")}, "did you mean 'count'?"),
    ],
)
def test_what_does_not_fit_is_refused_and_no_run_is_created(
    client: SyncPrefectClient, wrong: Mapping[str, Any], message: str
) -> None:
    before = {run.id for run in client.read_flow_runs()}
    with pytest.raises(Problem) as caught:
        start(SESSION, Request(**{"deployment": DEPLOYMENT, **wrong}))
    assert message in str(caught.value)
    assert {run.id for run in client.read_flow_runs()} == before


SCRIPT = """
import signal, sys
# A shell that starts the tests in the background lets them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tools.runs import verbs
from tools.runs.session import Session, api
verbs._session = lambda _: __import__("contextlib").nullcontext(
    Session(namespace="flows", kubeconfig="/nonexistent/kubeconfig", options=" STACK=test"))
with api(sys.argv[1], {}):
    sys.exit(getattr(verbs, sys.argv[2])(None))
"""


def verb(url: str, name: str, **text: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **{f"EPHEMERAL_DASK_{key}": value for key, value in text.items()}}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, name], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_cancel_it_which_then_works(
    client: SyncPrefectClient, server: str
) -> None:
    process = verb(server, "run", FLOW=DEPLOYMENT, NAME="it's mine")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Scheduled" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    output = "".join(lines)
    assert "run it's mine goes on" in output
    assert "make logs RUN='it'\"'\"'s mine' STACK=test" in output
    assert "make cancel RUN='it'\"'\"'s mine' STACK=test" in output
    flow_run = newest_named(client, "it's mine")
    assert flow_run is not None
    assert flow_run.state is not None
    assert not flow_run.state.is_final()

    process = verb(server, "cancel", RUN="it's mine")
    _, shown = process.communicate()
    assert process.returncode == 0, shown
    assert "run it's mine: Cancelled" in shown
    process = verb(server, "logs", RUN=str(flow_run.id))
    _, shown = process.communicate()
    assert process.returncode == 1, shown


def test_a_run_that_does_not_exist_is_refused_with_those_that_do(client: SyncPrefectClient, server: str) -> None:
    process = verb(server, "logs", RUN="no-such-run")
    _, shown = process.communicate()
    assert "There is no run 'no-such-run'" in shown
    assert client.read_flow_runs() or "there is none" in shown
