"""The time of a flow run from the command of its pod to the first line of its flow, and the processor time it costs.

Run it with `make bench-start`. The peer is Prefect's own command, `prefect flow-run execute`, as released: three
interpreters, one after the other. Both sides run the same deployment, with the pull step `set_working_directory`, on
the same new Prefect server on the loopback interface, and take turns. No pod starts, and no worker polls: those parts
of a start are the same for both sides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import usage
from benchmarks.server import running
from tests.support import flow_pod
from tests.support.flow_pod import FlowPod
from tools.errors import Problem
from tools.paths import ROOT

MOST: Final = 0.6
"""Share of the peer's time and of its processor time that a start may take."""

OURS, PEER = SIDES = ("this project", "prefect")

_FILES: Final = {
    "flows/__init__.py": "",
    "flows/first.py": """
        import time
        from pathlib import Path

        from prefect import flow


        @flow
        def first(file: str) -> None:
            Path(file).write_text(str(time.time()))
    """,
    "prefect.yaml": """
        pull: [{prefect.deployments.steps.set_working_directory: {directory: "FOLDER"}}]
        deployments:
          - {name: default, entrypoint: flows.first.first, work_pool: {name: start}}
    """,
}


Measures = dict[str, dict[str, list[float]]]
"""What was measured -> side -> values."""

_FIRST_LINE, _PROCESSOR = _TITLES = ("command to first line, s", "processor of the run, s")


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each side is measured")
    rounds: int = parser.parse_args(arguments).rounds
    measures: Measures = {title: {side: [] for side in SIDES} for title in _TITLES}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            _measure(Path(scratch), rounds, measures)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(_table(measures))
    misses = [
        f"{title}: {share:.2f} of Prefect's, and at most {MOST} is the target"
        for title, sides in measures.items()
        if (share := _share(sides)) > MOST
    ]
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


def _measure(scratch: Path, rounds: int, measures: Measures) -> None:
    app, home = scratch / "app", scratch / "home"
    home.mkdir()
    flow_pod.write(app, _FILES, FOLDER=str(app))
    with running(scratch / "server") as server:
        common = flow_pod.environment(home, server.url, app, ROOT)
        # As in the image, whose packages are compiled.
        common.pop("PYTHONDONTWRITEBYTECODE")
        sides = {OURS: common, PEER: {**common, "PREFECT_PLUGINS_ENABLED": "false"}}
        pods = {side: FlowPod(server.url, app, environment) for side, environment in sides.items()}
        with flow_pod.registered(app / "prefect.yaml", "start", server.url):
            for side in SIDES:
                _run(pods[side], scratch)  # compiles what it imports
            for number in range(rounds):
                for side in SIDES if number % 2 == 0 else reversed(SIDES):
                    seconds, used = _run(pods[side], scratch)
                    measures[_FIRST_LINE][side].append(seconds)
                    measures[_PROCESSOR][side].append(used)
                print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)


def _run(pod: FlowPod, scratch: Path) -> tuple[float, float]:
    """Run the flow; return the seconds until its first line and the processor time of its processes."""
    file = scratch / "first"
    run = pod.create("first", "default", {"file": str(file)})
    began = time.time()
    used = usage.measure(flow_pod.command(run), folder=pod.folder, environment=pod.environment, scratch=scratch)
    return float(file.read_text()) - began, used.processor


def _share(sides: Mapping[str, Sequence[float]]) -> float:
    return statistics.median(sides[OURS]) / statistics.median(sides[PEER])


def _table(measures: Measures) -> str:
    lines = [f"| | {OURS} | {PEER} | share |", "|---|---|---|---|"]
    for title, sides in measures.items():
        cells = " | ".join(_cell(sides[side]) for side in SIDES)
        lines.append(f"| {title} | {cells} | {_share(sides):.2f} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
