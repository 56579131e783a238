from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ephemeral_dask import flow_process, prefect_plugin, prepared_process
from ephemeral_dask.contract.environment import PLUGIN, PREPARED_PROCESS
from ephemeral_dask.flow_process import SUPERVISOR
from ephemeral_dask.prepared_process import Order, PreparedProcess
from tools.paths import ROOT

COMMAND = [sys.executable, "-m", SUPERVISOR, "supervisor.json"]
EXECUTE = ["python", "/opt/venv/bin/prefect", "flow-run", "execute"]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own: one that forks should have a single thread."""
    head = """
        import asyncio, json, os, sys, time
        from ephemeral_dask import flow_process, prepared_process
        from ephemeral_dask.prepared_process import Order, PreparedProcess
        flow_process.preload = lambda: None
    """
    source = textwrap.dedent(head) + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-c", source, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_prepared_process_has_the_environment_and_folder_of_its_order_and_a_session_of_its_own(
    tmp_path: Path,
) -> None:
    script = """
        def work(command):
            print(json.dumps([command, dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid()]), flush=True)
            return 7
        flow_process.run = work
        process = PreparedProcess.fork()
        assert process.waits
        assert process.start(Order(["a", "b"], {"NAME": "value"}, sys.argv[1]))
        assert not process.waits
        assert asyncio.run(process.wait()) == process.returncode == 7
        process.kill()  # it has no effect on what has ended
    """
    done = run(script, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f'[["a", "b"], {{"NAME": "value"}}, "{tmp_path}", true]'


def test_a_prepared_process_without_an_order_ends_with_its_parent() -> None:
    script = """
        process = PreparedProcess.fork()
        print(process.pid, flush=True)
        os._exit(0)
    """
    done = run(script)
    assert (done.returncode, done.stderr) == (0, "")
    # Its output is the parent's, so it has ended when that was read to the end.
    assert done.stdout.strip().isdigit()


def test_a_start_that_is_cancelled_kills_the_process() -> None:
    script = """
        flow_process.run = lambda command: time.sleep(600)
        flow_process.can_run = lambda command: True
        process = PreparedProcess.fork()
        start = prepared_process._starting(None, process)
        async def main():
            try:
                await asyncio.wait_for(start(["a"], env={}, cwd="/", start_new_session=True), 0.2)
            except TimeoutError:
                return process.returncode
        assert asyncio.run(main()) == -9
    """
    done = run(script)
    assert done.returncode == 0, done.stderr


def test_a_process_that_is_not_there_any_more_takes_no_order() -> None:
    script = """
        process = PreparedProcess.fork()
        process.kill()
        assert asyncio.run(process.wait()) == -9
        assert not process.start(Order(["a"], {}, "/"))
    """
    done = run(script)
    assert done.returncode == 0, done.stderr


class Fake(PreparedProcess):
    """Takes an order or does not, and has ended at once."""

    def __init__(self, takes: bool) -> None:
        self.pid, self.returncode, self.orders, self._takes, self._waits = 5, 0, [], takes, True

    @property
    def waits(self) -> bool:
        return self._waits

    def start(self, order: Order) -> bool:
        self.orders.append(order)
        self._waits = False
        return self._takes


def started(prepared: Fake, command: list[str], **options: Any) -> Any:
    """Return what a start gives: the prepared process, or the options that Prefect's own function got."""

    async def original(command: list[str], **options: Any) -> Any:
        return command, options

    return asyncio.run(prepared_process._starting(original, prepared)(command, **options))


def test_the_command_of_pull_steps_and_flow_goes_to_the_prepared_process() -> None:
    prepared = Fake(takes=True)
    assert started(prepared, COMMAND, env={"A": "b"}, cwd=Path("/tmp"), start_new_session=True) is prepared
    assert prepared.orders == [Order(COMMAND, {"A": "b"}, "/tmp")]


@pytest.mark.parametrize(
    ("takes", "command", "session"),
    [
        pytest.param(True, [sys.executable, "-m", "prefect.engine"], True, id="another command"),
        pytest.param(True, ["uv", "run", *COMMAND], True, id="another interpreter"),
        pytest.param(True, COMMAND, False, id="no session of its own"),
        pytest.param(False, COMMAND, True, id="the prepared process has ended"),
    ],
)
def test_every_other_start_is_prefects(takes: bool, command: list[str], session: bool) -> None:
    passed = {"env": {"A": "b"}, "cwd": "/tmp", "start_new_session": session, "stream_output": True}
    name, options = started(Fake(takes), command, **passed)
    assert name == command
    assert options == {**passed, "task_status": None, "task_status_handler": None}


def test_a_second_start_is_prefects() -> None:
    prepared = Fake(takes=True)
    started(prepared, COMMAND, start_new_session=True)
    assert started(prepared, COMMAND, start_new_session=True) is not prepared


@pytest.mark.parametrize(
    ("arguments", "variables", "prepares"),
    [
        (EXECUTE, {"PREFECT_PLUGINS_ALLOW": PLUGIN}, True),
        (["python", "-m", "prefect", *EXECUTE[2:], "id"], {"PREFECT_PLUGINS_ALLOW": PLUGIN}, True),
        (EXECUTE, {"PREFECT_PLUGINS_ALLOW": PLUGIN, PREPARED_PROCESS: "false"}, False),
        (EXECUTE, {"PREFECT_PLUGINS_ALLOW": f"{PLUGIN},other"}, False),
        (EXECUTE, {}, False),
        (["python", "prefect", "worker", "start"], {"PREFECT_PLUGINS_ALLOW": PLUGIN}, False),
    ],
)
def test_the_process_that_follows_a_run_prepares_one_unless_another_plugin_is_allowed_or_it_is_switched_off(
    arguments: list[str], variables: dict[str, str], prepares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_PLUGINS_ALLOW", PREPARED_PROCESS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    installed: list[bool] = []
    monkeypatch.setattr(sys, "orig_argv", arguments)
    monkeypatch.setattr(prepared_process, "install", lambda: installed.append(True))
    prefect_plugin.setup_environment(ctx=None)  # type: ignore[arg-type]  the hook does not use it
    assert installed == [True] * prepares


def test_nothing_is_prepared_in_a_process_with_threads_or_without_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> str:
        return "as released"

    def refuse() -> None:
        raise OSError("no pidfd_open")

    released = asyncio.run
    monkeypatch.setattr(asyncio, "run", released)
    for threads, said in ((2, ""), (1, "ephemeral_dask: the flow is started as Prefect does it: no pidfd_open\n")):
        monkeypatch.setattr(prepared_process.threading, "active_count", lambda threads=threads: threads)
        monkeypatch.setattr(prepared_process, "_prepare", refuse)
        prepared_process.install()
        assert asyncio.run(main()) == "as released"
        assert asyncio.run is released
        assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("steps", "command", "variables", "same"),
    [
        pytest.param([], None, {}, True, id="no step"),
        pytest.param([{"prefect.deployments.steps.git_clone": {"repository": "x"}}], None, {}, True, id="git_clone"),
        pytest.param([{"prefect.deployments.steps.set_working_directory": None}], None, {}, True, id="folder"),
        pytest.param(
            [{"prefect.deployments.steps.git_clone": {"repository": "x", "requires": "y"}}],
            None,
            {},
            False,
            id="package",
        ),
        pytest.param([{"acme.steps.fetch": {}}], None, {}, False, id="own step"),
        pytest.param([], ["uv", "run"], {}, False, id="another command"),
        pytest.param([], None, {"OMP_NUM_THREADS": "1"}, False, id="a variable"),
        pytest.param([], None, {"PYTHONPATH": "/src", "PREFECT__FLOW_RUN_ID": "1"}, True, id="what Prefect sets"),
    ],
)
def test_the_process_goes_on_where_an_interpreter_of_its_own_would_be_the_same(
    steps: list[Any], command: list[str] | None, variables: dict[str, str], same: bool
) -> None:
    preparation = flow_process._Preparation({"HOME": "/tmp"}, frozenset(sys.modules), steps=steps)
    engine = [sys.executable, "-m", flow_process.ENGINE]
    preparation.launches.append(flow_process._Launch(command or engine, Path("/"), {"HOME": "/tmp", **variables}))
    assert flow_process._is_as_a_new_interpreter(preparation) is same


def test_code_that_a_pull_step_imported_is_not_kept_for_the_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_step.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    modules = frozenset(sys.modules)
    __import__("of_a_step")
    assert not flow_process._is_installed("of_a_step")
    launch = flow_process._Launch([sys.executable, "-m", flow_process.ENGINE], tmp_path, {})
    preparation = flow_process._Preparation({}, modules, launches=[launch])
    assert not flow_process._is_as_a_new_interpreter(preparation)
    monkeypatch.delitem(sys.modules, "of_a_step")
