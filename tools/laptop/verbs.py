"""What `make laptop` does."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading

from tools import stackfile
from tools.cluster.termination import termination_cleans_up
from tools.file_lock import locked
from tools.laptop import child, job, server
from tools.laptop.group import group
from tools.laptop.job import Job
from tools.make import text
from tools.paths import ROOT, state_dir
from tools.progress import say
from tools.runs.arguments import parse
from tools.targets.local import Local


def laptop(arguments: argparse.Namespace) -> int:
    """Run a flow on Dask processes of this machine, with a Prefect server, until Ctrl-C.

    Without a terminal the server ends with the run. Returns 0 if the run completed.
    """
    # No image is built, so any registry is as good as another.
    settings = stackfile.check(arguments.stack, stackfile.read(arguments.stack), Local().overrides)
    plan = stackfile.load_plan(arguments.stack, settings)
    planned = job.plan(plan, text("FLOW"), parse(text("PARAMS"), "PARAMS"), parse(text("VARS"), "VARS"))
    home = state_dir() / "laptop"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with termination_cleans_up(), locked(home / "lock", "runs `make laptop`"), server.running(home) as address:
        say(f"    Prefect UI: {address}")
        say(f"==> run of {planned.name}")
        status = _run(planned, address)
        say(f"    the run {'completed' if status == 0 else 'failed'}")
        if sys.stdin.isatty():
            say(f"    Prefect UI: {address} (Ctrl-C ends it; the runs are kept in {home})")
            _wait_for_interrupt()
    return status


def _run(planned: Job, address: str) -> int:
    home = state_dir() / "laptop"
    variables = {
        "DASK_LOGGING__DISTRIBUTED": "warning",  # else each connection of its processes is a line
        **server.environment(home),
        **planned.environment,
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_UI_URL": address,
        "PYTHONUNBUFFERED": "1",
        child.JOB: json.dumps({"entrypoint": planned.entrypoint, "parameters": dict(planned.parameters)}),
    }
    command = [sys.executable, "-m", child.__name__]
    with group(command, folder=ROOT, environment=variables, output=subprocess.PIPE, end=signal.SIGINT) as process:
        quiet = threading.Event()
        printer = threading.Thread(target=_print, args=(process, quiet), daemon=True)
        printer.start()
        try:
            status = process.wait()
        except BaseException:
            quiet.set()
            raise
        printer.join(timeout=5)
    return int(status != 0)


def _print(process: subprocess.Popen[str], quiet: threading.Event) -> None:
    """Print what the run prints. What comes after Ctrl-C is about the interruption, which the person knows of."""
    for line in process.stdout or ():
        if not quiet.is_set():
            print(line, end="", flush=True)


def _wait_for_interrupt() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(file=sys.stderr)
