"""What a tiny Prefect task costs on Dask: prefect-dask's own task runner beside that of this project.

Run it with `make bench-tasks`. Both sides use the same four Dask workers, the same scheduler and the same Prefect
server with its services, all on the loopback interface, and take turns. A task adds one to a number, so all that is
measured is the cost of having tasks. Each measurement is a flow run with its first task and all that is done once per
run; it ends when the server has recorded all task runs, whose processor time belongs to it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings
from prefect_dask.task_runners import DaskTaskRunner

from benchmarks import dask_processes
from benchmarks.dask_processes import DaskProcesses
from benchmarks.server import Server, environment
from benchmarks.tiny_tasks import increments
from ephemeral_dask.lean.task_runner import LeanDaskTaskRunner
from tests.support import scratch_prefect
from tools.cluster.wait import until

WORKERS: Final = 4
WORKER_TARGET: Final = 18.0
"""Milliseconds of processor time per task in a worker."""
FLOW_TARGET: Final = 10.0
"""The same in the flow."""
TIMES_FASTER: Final = 5.0
SHARE_OF_LIMIT: Final = 0.9
SHARE_OF_BYTES: Final = 0.2

_SIDES: Final[dict[str, Any]] = {"prefect-dask": DaskTaskRunner, "this project": LeanDaskTaskRunner}
_STOCK, _OURS = _SIDES
_RECORDED: Final = 600.0
"""Seconds after which the server must have recorded the task runs of a measurement."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One flow run. Milliseconds of processor time and bytes are per task.

    Attributes:
        worker: in the Dask workers.
        flow: in the process of the flow.
        scheduler: in the process of scheduler and nannies.
        server: in the Prefect server, until it has recorded all task runs.
        size: bytes that the flow sends to the scheduler.
        rate: tasks per second.

    """

    worker: float
    flow: float
    scheduler: float
    server: float
    size: float
    rate: float

    @property
    def limit(self) -> float:
        """Tasks per second if all processors did nothing else, and were never idle."""
        return (os.cpu_count() or 1) * 1000 / (self.worker + self.flow + self.scheduler + self.server)


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--tasks", type=int, default=200, help="tasks of a measurement")
    options = parser.parse_args(arguments)
    measures: dict[str, list[Measure]] = {side: [] for side in _SIDES}
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        home = Path(scratch) / "server"
        home.mkdir()
        # Unlike that of the registration this server needs its services: one of them records the task runs.
        with scratch_prefect.running(home, settings={"PREFECT_LOGGING_LEVEL": "ERROR"}) as url:
            server = Server(url=url, log=home / "server.log")
            own = environment(Path(scratch) / "home")
            with (
                dask_processes.running(WORKERS, {**own, "PREFECT_API_URL": url}) as dask,
                temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_LEVEL: "ERROR"}),
            ):
                for side in _SIDES:
                    _measure(side, WORKERS * 2, dask, server)  # the imports of the workers do not count
                for number in range(options.rounds):
                    for side in _SIDES if number % 2 == 0 else reversed(_SIDES):
                        measure = _measure(side, options.tasks, dask, server)
                        measures[side].append(measure)
                        print(f"{side}: {measure}", file=sys.stderr, flush=True)
    print(_table(measures))
    misses = _misses(measures)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


def _measure(side: str, count: int, dask: DaskProcesses, server: Server) -> Measure:
    run = increments.with_options(task_runner=_SIDES[side](address=dask.address))
    recorded = _recorded(server)
    before = (dask.processor_of_workers(), time.process_time(), dask.processor_of_scheduler(), server.processor())
    seconds, size = run(count)
    used = [dask.processor_of_workers(), time.process_time(), dask.processor_of_scheduler()]
    until(lambda: _recorded(server) >= recorded + count, seconds=_RECORDED, interval=0.5)
    used.append(server.processor())
    worker, flow, scheduler, database = (
        (after - earlier) / count * 1000 for after, earlier in zip(used, before, strict=True)
    )
    return Measure(
        worker=worker, flow=flow, scheduler=scheduler, server=database, size=size / count, rate=count / seconds
    )


def _recorded(server: Server) -> int:
    with scratch_prefect.client(server.url) as client:
        answer = client.post("/task_runs/count", json={"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
        answer.raise_for_status()
        count: int = answer.json()
        return count


def _median(measures: Sequence[Measure], name: str) -> float:
    median: float = statistics.median(getattr(each, name) for each in measures)
    return median


def _table(measures: dict[str, list[Measure]]) -> str:
    titles = {
        "worker": "processor in a worker, ms per task",
        "flow": "processor in the flow, ms per task",
        "scheduler": "processor in scheduler and nannies, ms per task",
        "server": "processor in the Prefect server, ms per task",
        "size": "bytes per submitted task",
        "rate": f"tasks per second, {WORKERS} workers",
        "limit": f"the most that {os.cpu_count()} processors allow",
    }
    lines = [f"| | {' | '.join(_SIDES)} |", f"|---|{'---|' * len(_SIDES)}"]
    for name, title in titles.items():
        cells = []
        for side in _SIDES:
            values = [getattr(each, name) for each in measures[side]]
            digits = 0 if name == "size" else 1
            cells.append(
                f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
            )
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _misses(measures: dict[str, list[Measure]]) -> list[str]:
    names = [each.name for each in fields(Measure)]
    stock, ours = ({name: _median(measures[side], name) for name in names} for side in (_STOCK, _OURS))
    limit = _median(measures[_OURS], "limit")
    misses = [
        f"{ours[name]:.1f} ms per task in {title}, and the target is {target:.0f} ms"
        for name, title, target in (("worker", "a worker", WORKER_TARGET), ("flow", "the flow", FLOW_TARGET))
        if ours[name] > target
    ]
    faster, share = ours["rate"] / stock["rate"], ours["rate"] / limit
    if faster < TIMES_FASTER and share < SHARE_OF_LIMIT:
        misses.append(
            f"{faster:.1f} times as many tasks per second, and {share:.0%} of what the processors allow; the target is"
            f" {TIMES_FASTER:.0f} times or {SHARE_OF_LIMIT:.0%}"
        )
    if ours["size"] > stock["size"] * SHARE_OF_BYTES:
        misses.append(f"{ours['size'] / stock['size']:.0%} of the bytes, and the target is {SHARE_OF_BYTES:.0%}")
    return misses


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
