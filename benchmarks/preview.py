"""A preview and an update that change nothing, with 15 and 50 deployments, beside an empty Pulumi program.

Run it with `make bench-preview`; `DEPLOYMENTS="50 200 500 1000"` shows how the costs grow. The platform is brought up
on a control plane without nodes and a new Prefect server, with the first number of deployments, and updated with each
further one. The peer is `pulumi preview` of a program that only imports pulumi_kubernetes. Both sides take turns.

Processor time is that of every process that a command starts: it depends less on what else the machine does than the
seconds that pass. Servers are not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlparse

from benchmarks import preview_project
from benchmarks.preview_project import NAMESPACE, Project
from benchmarks.server import running
from benchmarks.usage import Usage
from tests.engine import control_plane
from tools.errors import Problem
from tools.toolchain.pulumi import ensure_pulumi

TIMES_EMPTY: Final = 3
"""The most processor time of a preview, in those of the empty program."""
PER_DEPLOYMENT: Final = 0.010
"""The most seconds that one more deployment may add to a preview."""
STATE_PER_DEPLOYMENT: Final = 5_000
"""The most bytes of state that one more deployment may add."""
CURVE: Final = 1.5
"""The most that one more deployment may cost in the last step of the growth, in what it costs in the first one."""
SECONDS: Final = {"make up": 9.0, "make preview": 5.0}
"""The most seconds that a verb may take on an idle machine."""

PEER: Final = "empty program"
PREVIEW: Final = "pulumi preview"
REFRESH: Final = "pulumi preview --refresh"
FIRST: Final = "update to it"
CASES: Final[Mapping[str, Callable[[Project], Usage]]] = {
    PREVIEW: lambda project: project.pulumi("preview"),
    REFRESH: lambda project: project.pulumi("preview", "--refresh"),
    "make preview": lambda project: project.make("preview"),
    "make up": lambda project: project.make("up"),
}


@dataclass
class Results:
    """The measures.

    Attributes:
        usages: by number of deployments and case.
        states: bytes of the state by number of deployments.

    """

    usages: dict[tuple[int, str], list[Usage]] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)

    def add(self, count: int, case: str, usage: Usage) -> None:
        """Add a measure, and print it to standard error."""
        self.usages.setdefault((count, case), []).append(usage)
        text = f"processor {usage.processor:.2f} s, {usage.seconds:.1f} s, {usage.written / 1e6:.1f} MB written"
        print(f"{count} deployments, {case}: {text}", file=sys.stderr, flush=True)

    def processor(self, count: int, case: str) -> float:
        """Return the median of the processor time, in seconds."""
        return statistics.median(each.processor for each in self.usages[count, case])

    def seconds(self, count: int, case: str) -> float:
        """Return the median of the time, in seconds."""
        return statistics.median(each.seconds for each in self.usages[count, case])

    def written(self, count: int, case: str) -> float:
        """Return the median of the bytes that were written."""
        return statistics.median(each.written for each in self.usages[count, case])


def main(arguments: Sequence[str]) -> int:
    """Measure, print two tables, and return 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, nargs="+", default=[15, 50], help="how many, in ascending order")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="which commands are measured")
    options = parser.parse_args(arguments)
    try:
        engine = ensure_pulumi().environment
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, _platform(Path(scratch), engine) as project:
        empty = preview_project.empty(Path(scratch) / "empty", engine)
        empty.pulumi("preview")  # compiles what it imports
        for count in sorted(options.deployments):
            preview_project.declare(project, count)
            results.add(count, FIRST, project.pulumi("up", "--yes", "--skip-preview"))
            results.states[count] = project.state
            for number in range(options.rounds):
                cases = {PEER: lambda _: empty.pulumi("preview"), **{name: CASES[name] for name in options.cases}}
                for case in list(cases) if number % 2 == 0 else reversed(cases):
                    results.add(count, case, cases[case](project))
    print(_table(results, options.cases))
    print(_growth(results))
    misses = _misses(results)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


@contextlib.contextmanager
def _platform(scratch: Path, engine: Mapping[str, str]) -> Iterator[Project]:
    """Run the servers, and yield a project whose stack is not up yet."""
    (scratch / "kubernetes").mkdir()
    with running(scratch / "server") as server:
        port = urlparse(server.url).port or 0
        with control_plane.running(scratch / "kubernetes", {NAMESPACE: port}) as cluster:
            yield preview_project.platform(scratch / "platform", engine, cluster.place.kubeconfig)


def _table(results: Results, cases: Sequence[str]) -> str:
    lines = [
        "| | deployments | processor | empty program | times | time | empty program |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, count in itertools.product(cases, results.states):
        ours, peer = results.processor(count, case), results.processor(count, PEER)
        lines.append(
            f"| `{case}` | {count} | {ours:.2f} s | {peer:.2f} s | {ours / peer:.1f} x |"
            f" {results.seconds(count, case):.1f} s | {results.seconds(count, PEER):.1f} s |"
        )
    return "\n".join(lines)


def _growth(results: Results) -> str:
    lines = [
        "| deployments | state | per deployment | written by the update to it | preview, per deployment | refresh |",
        "|---|---|---|---|---|---|",
    ]
    before: int | None = None
    for count, state in results.states.items():
        more = each = "-"
        if before is not None:
            more = f"{(state - results.states[before]) / (count - before):.0f} B"
            if (before, PREVIEW) in results.usages:
                each = f"{_slope(results, before, count, PREVIEW) * 1000:.1f} ms"
        refresh = f"{results.processor(count, REFRESH):.2f} s" if (count, REFRESH) in results.usages else "-"
        written = results.written(count, FIRST) / 1e6
        lines.append(f"| {count} | {state / 1e6:.2f} MB | {more} | {written:.1f} MB | {each} | {refresh} |")
        before = count
    return "\n".join(lines)


def _slope(results: Results, fewer: int, more: int, case: str) -> float:
    """Return the seconds of processor time that one more deployment adds."""
    return (results.processor(more, case) - results.processor(fewer, case)) / (more - fewer)


def _misses(results: Results) -> list[str]:
    misses = []
    for count in results.states:
        if (count, PREVIEW) in results.usages:
            times = results.processor(count, PREVIEW) / results.processor(count, PEER)
            if times > TIMES_EMPTY:
                misses.append(f"{PREVIEW}, {count} deployments: {times:.1f} x, and the target is {TIMES_EMPTY} x")
        for case, most in SECONDS.items():
            if (count, case) in results.usages and (seconds := results.seconds(count, case)) > most:
                misses.append(f"{case}, {count} deployments: {seconds:.1f} s, and the target is {most:.0f} s")
    for fewer, more in itertools.pairwise(results.states):
        grown = (results.states[more] - results.states[fewer]) / (more - fewer)
        if grown > STATE_PER_DEPLOYMENT:
            misses.append(f"state: {grown:.0f} bytes per deployment, and the target is {STATE_PER_DEPLOYMENT}")
        if (fewer, PREVIEW) in results.usages and (slope := _slope(results, fewer, more, PREVIEW)) > PER_DEPLOYMENT:
            misses.append(f"{PREVIEW}: {slope * 1000:.1f} ms per deployment, and the target is 10 ms")
    return [*misses, *_curves(results)]


def _curves(results: Results) -> list[str]:
    """Return a sentence if a refresh costs more and more per deployment."""
    steps = [step for step in itertools.pairwise(results.states) if (step[0], REFRESH) in results.usages]
    if len(steps) < 2:
        return []
    first, last = (_slope(results, *step, REFRESH) for step in (steps[0], steps[-1]))
    if last <= CURVE * max(first, PER_DEPLOYMENT):
        return []
    return [f"{REFRESH}: {last * 1000:.1f} ms per deployment at the end, and {first * 1000:.1f} ms at the beginning"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
