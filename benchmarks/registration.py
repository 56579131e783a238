"""Registration of 50 deployments: the Pulumi engine compared with `prefect deploy --all` of the same prefect.yaml.

Run it with `make bench-registration`. Each measurement has a new server, and the sides alternate. The peer is measured
twice: with the server as the platform image runs it, as for this project's side, and with the server as Prefect
releases it. The time of this project's side is the engine's, from the first to the last step that registers a resource;
the table also has the time of the whole command and the server's processor time.

Every deployment has a schedule, a limit, parameters, tags and job variables. The schedules are in UTC: for another
timezone Prefect's server lists all timezones of the machine, which doubles the cost of a deployment for every client.
`--timezone` measures that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.server import Server, environment, running
from tests.support import scratch_prefect
from tools.errors import Problem
from tools.paths import ROOT
from tools.toolchain.pulumi import ensure_pulumi

DEPLOYMENTS: Final = 50
TIMES_FASTER: Final = 10
WRITES_FOR_ONE: Final = 3
"""The most write requests for one changed deployment."""

_FLOWS: Final = '''
from prefect import flow


@flow
def report(day: str = "today", top: int = 10, names: list[str] | None = None):
    """Write a report.

    Args:
        day: Which one.
        top: How many.
        names: Whose.

    """
'''

_PROGRAM: Final = """
import json
from pathlib import Path

from infra.prefect_yaml.load import load_deployments
from infra.registration import Deployment, DeploymentArgs, Url, WorkPool, WorkPoolArgs

stack = json.loads(Path("stack.json").read_text())
endpoint = Url(url=stack["url"])
pool = WorkPool("bench", WorkPoolArgs(endpoint=endpoint, name="bench", base_job_template=stack["template"]))
for spec in load_deployments(Path("prefect.yaml")):
    args = DeploymentArgs(endpoint=endpoint, spec=spec, work_pool_name=pool.name)
    Deployment(spec.key.replace("/", "-"), args)
"""

_TEMPLATE: Final = {"job_configuration": {"image": "{{ image }}"}, "variables": {"properties": {"image": {}}}}

_POOL: Final = {"name": "bench", "type": "kubernetes", "base_job_template": _TEMPLATE}

_REGISTERED: Final = "pulumi-python:dynamic/prefect:"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One command.

    Attributes:
        steps: seconds from the first to the last step that registers a resource.
        server: seconds of the server's processor time during the command.
        whole: seconds of the whole command.
        writes: write requests that the server received.

    """

    steps: float
    server: float
    whole: float
    writes: int


@dataclass
class Results:
    """The measures by `<side>, <case>`.

    Attributes:
        timezone: the timezone of all schedules.
        measures: the measures of all rounds.

    """

    timezone: str
    measures: dict[str, list[Measure]] = field(default_factory=dict)

    def add(self, name: str, measure: Measure) -> None:
        """Add a measure, and print it to standard error."""
        self.measures.setdefault(name, []).append(measure)
        text = f"{measure.steps:.2f} s, the server's processor {measure.server:.2f} s, {measure.writes} writes"
        print(f"{name}: {text}", file=sys.stderr, flush=True)

    def steps(self, name: str) -> float:
        """Return the median of the steps' seconds."""
        return self.median("steps", name)

    def median(self, what: str, name: str) -> float:
        """Return the median of `what`, a field of `Measure`."""
        seconds: float = statistics.median(getattr(each, what) for each in self.measures[name])
        return seconds

    def writes(self, name: str) -> int:
        """Return the most writes of any round."""
        return max(each.writes for each in self.measures[name])


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each side is measured")
    parser.add_argument("--timezone", default="UTC", help="of the schedules")
    options = parser.parse_args(arguments)
    try:
        engine = ensure_pulumi().environment
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    results = Results(timezone=options.timezone)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for number in range(options.rounds):
            # Ours takes seconds, in which the machine may be fast or slow, so it is measured more often than the peer.
            sides = ["ours", "theirs", "ours", "released", "ours"]
            for turn, name in enumerate(sides if number % 2 == 0 else reversed(sides)):
                folder = Path(scratch) / f"{number}{turn}{name}"
                folder.mkdir()
                with running(folder / "server", as_released=name == "released") as server:
                    if name == "ours":
                        _ours(folder / "project", server, engine, results)
                    else:
                        _theirs(folder / "project", server, name, results)
    print(_table(results))
    misses = _misses(results)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


def _declare(project: Path, timezone: str, *, changed: bool = False) -> None:
    """Write the prefect.yaml of both sides; with `changed`, one deployment has another cron expression."""
    lines = ["deployments:"]
    for number in range(DEPLOYMENTS):
        minute = 59 if changed and number == 0 else number % 50
        lines += [
            f"  - name: team-{number:02}",
            '    version: "1"',
            "    entrypoint: jobs/flows.py:report",
            "    tags: [bench, nightly]",
            f"    parameters: {{top: {number + 1}, names: [a, b]}}",
            f"    schedules: [{{slug: nightly, cron: '{minute} 3 * * *', timezone: {timezone}}}]",
            "    concurrency_limit: 2",
            f"    work_pool: {{name: bench, job_variables: {{image: 'r:{number}'}}}}",
        ]
    (project / "jobs").mkdir(parents=True, exist_ok=True)
    (project / "jobs" / "flows.py").write_text(_FLOWS)
    (project / "prefect.yaml").write_text("\n".join(lines) + "\n")


def _theirs(project: Path, server: Server, side: str, results: Results) -> None:
    _declare(project, results.timezone)
    with scratch_prefect.client(server.url) as client:
        client.post("/work_pools/", json=_POOL).raise_for_status()
    for case, changed in (("first", False), ("again", False), ("one changed", True)):
        _declare(project, results.timezone, changed=changed)
        mark, before, started = server.mark(), server.processor(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=project,
            env={**environment(project / "home"), "PREFECT_API_URL": server.url},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
        used = server.processor() - before
        measure = Measure(steps=seconds, server=used, whole=seconds, writes=len(server.writes(mark)))
        results.add(f"{side}, {case}", measure)


def _ours(project: Path, server: Server, engine: Mapping[str, str], results: Results) -> None:
    _declare(project, results.timezone)
    (project / "state").mkdir()
    (project / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
    (project / "__main__.py").write_text(_PROGRAM)
    (project / "stack.json").write_text(json.dumps({"url": server.url, "template": _TEMPLATE}))
    own = {
        **environment(project / "home"),
        **engine,
        "PULUMI_BACKEND_URL": f"file://{project / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_RUNTIME_VIRTUALENV": sys.prefix,
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(["pulumi", "stack", "init", "bench"], cwd=project, env=own, check=True, stdout=subprocess.DEVNULL)
    for case, changed, options in (
        ("first", False, []),
        ("again", False, ["--refresh"]),
        ("again, without refresh", False, []),
        ("one changed", True, []),
    ):
        _declare(project, results.timezone, changed=changed)
        mark, before = server.mark(), server.processor()
        steps, whole = _up(project, own, options)
        used = server.processor() - before
        results.add(f"ours, {case}", Measure(steps=steps, server=used, whole=whole, writes=len(server.writes(mark))))


def _up(project: Path, own: Mapping[str, str], options: Sequence[str]) -> tuple[float, float]:
    """Run an update and return the seconds of its steps and of the command: the engine reports whole seconds only."""
    started = time.perf_counter()
    phases: dict[bool, list[float]] = {}
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--json", *options]
    with subprocess.Popen(command, cwd=project, env=own, stdout=subprocess.PIPE, text=True) as update:
        for line in update.stdout or ():
            event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            step = event.get("resourcePreEvent") or event.get("resOutputsEvent")
            if step and str(step["metadata"]["type"]).startswith(_REGISTERED):
                # The program starts between refresh and update, and that time does not count.
                phases.setdefault(step["metadata"]["op"] == "refresh", []).append(time.perf_counter())
    if update.returncode != 0:
        raise RuntimeError(f"pulumi up ended with {update.returncode}")
    return sum(times[-1] - times[0] for times in phases.values()), time.perf_counter() - started


def _table(results: Results) -> str:
    names = {
        "first": f"{DEPLOYMENTS} new",
        "again": "again, unchanged (`up --refresh`)",
        "again, without refresh": "again, unchanged (`up`)",
        "one changed": f"one of {DEPLOYMENTS} changed",
    }
    lines = [
        "| | steps | server | whole | writes | `deploy --all` | server | writes | faster | as released | faster |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, title in names.items():
        ours = f"ours, {case}"
        peer = case if case != "again, without refresh" else "again"
        theirs, released = f"theirs, {peer}", f"released, {peer}"
        faster = results.steps(theirs) / results.steps(ours)
        lines.append(
            f"| {title} | {results.steps(ours):.2f} s | {results.median('server', ours):.2f} s |"
            f" {results.median('whole', ours):.1f} s | {results.writes(ours)} |"
            f" {results.steps(theirs):.1f} s | {results.median('server', theirs):.1f} s | {results.writes(theirs)} |"
            f" {faster:.1f} x |"
            f" {results.steps(released):.1f} s | {results.steps(released) / results.steps(ours):.1f} x |"
        )
    return "\n".join(lines)


def _misses(results: Results) -> list[str]:
    misses = []
    for case in ("first", "again"):
        faster = results.steps(f"theirs, {case}") / results.steps(f"ours, {case}")
        if faster < TIMES_FASTER:
            misses.append(f"{case}: {faster:.1f} times as fast, and the target is {TIMES_FASTER}")
    for case in ("again", "again, without refresh"):
        writes = results.writes(f"ours, {case}")
        misses += [f"{case}: {writes} write requests, and the target is 0"] if writes else []
    if (writes := results.writes("ours, one changed")) > WRITES_FOR_ONE:
        misses.append(f"one changed: {writes} write requests, and the target is at most {WRITES_FOR_ONE}")
    return misses


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
