"""What it costs that the connections of a Dask cluster are encrypted: with a run's certificates, and without.

Run it with `make bench-tls`. Each side has a scheduler and two workers, processes on the loopback interface. Starts are
measured one after another; then both clusters are up, and the sides take turns with short measurements. Processor time
is counted in all processes, the client's included: on a busy machine it says more than seconds. Only the connection
takes time here: no pod starts, a task adds one to a number, and the network is as fast as memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from distributed import Client, wait
from distributed.security import Security

from benchmarks import dask_processes
from benchmarks.dask_processes import DaskProcesses
from ephemeral_dask.certificates import Certificates
from ephemeral_dask.contract import tls

WORKERS: Final = 2
ARRAYS: Final = 4
ARRAY: Final = 32
"""Number and MiB of the arrays that move from one worker to the other."""
MOST: Final = 0.1
"""Share of a start and of the tiny tasks per second that TLS may cost."""
CLUSTER_START: Final = 3.4
"""Seconds of the start of a Dask cluster with its pods: see `benchmarks.churn`."""

_PLAIN, _TLS = _SIDES = ("plain", "TLS")


Measures = dict[str, dict[str, list[float]]]
"""What was measured -> side -> values."""

_TITLES: Final = {
    "certificates": "certificates, ms of processor time",
    "start": "start of scheduler and workers, s",
    "start_processor": "processor for that, s",
    "rate": "tiny tasks per second",
    "task": "processor per tiny task, ms",
    "moved": "arrays from worker to worker, MiB per second",
    "moved_processor": "processor per MiB, ms",
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="how often each side is started")
    parser.add_argument("--rounds", type=int, default=20, help="how often each side is measured")
    parser.add_argument("--tasks", type=int, default=500, help="tiny tasks of a measurement")
    options = parser.parse_args(arguments)
    measures: Measures = {name: {side: [] for side in _SIDES} for name in _TITLES}
    for number in range(options.starts):
        for side in _turn(number):
            with _cluster(side, measures):
                pass
    with ExitStack() as stack:
        clusters = {side: stack.enter_context(_cluster(side, None)) for side in _SIDES}
        for side in _SIDES:
            _tiny(clusters[side][1], 200)  # the imports of the workers do not count
        for number in range(options.rounds):
            for side in _turn(number):
                _measure(*clusters[side], options.tasks, measures, side)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(_table(measures))
    misses = _misses(measures)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


def _turn(number: int) -> Iterable[str]:
    return _SIDES if number % 2 == 0 else reversed(_SIDES)


@contextmanager
def _cluster(side: str, measures: Measures | None) -> Iterator[tuple[DaskProcesses, Any]]:
    """Run a cluster and provide it with a client; its start is measured if there is a place for it."""
    connect: Any = Client
    with _environment(side) as (environment, security, made):
        began = time.perf_counter()
        with (
            dask_processes.running(WORKERS, environment, security) as dask,
            connect(dask.address, security=security, set_as_default=False) as client,
        ):
            client.wait_for_workers(WORKERS)
            if measures is not None:
                measures["certificates"][side].append(made)
                measures["start"][side].append(time.perf_counter() - began)
                used = dask.processor_of_scheduler() + dask.processor_of_workers()
                measures["start_processor"][side].append(used)
            yield dask, client


def _measure(dask: DaskProcesses, client: Any, tasks: int, measures: Measures, side: str) -> None:
    seconds, used = _used(dask, lambda: _tiny(client, tasks))
    measures["rate"][side].append(tasks / seconds)
    measures["task"][side].append(used / tasks * 1000)
    first, second = client.scheduler_info()["workers"]
    with client.as_current():
        arrays = [client.submit(_array, each, workers=[first], pure=False) for each in range(ARRAYS)]
        wait(arrays)  # type: ignore[no-untyped-call]  # it carries no annotation
        seconds, used = _used(dask, lambda: _move(client, arrays, second))
    measures["moved"][side].append(ARRAYS * ARRAY / seconds)
    measures["moved_processor"][side].append(used / (ARRAYS * ARRAY) * 1000)


@contextmanager
def _environment(side: str) -> Iterator[tuple[dict[str, str], Security | None, float]]:
    """Provide the environment of the processes, what the client connects with, and what the certificates cost."""
    if side == _PLAIN:
        yield {**os.environ}, None, 0.0
        return
    began = time.process_time()
    certificates = Certificates.new()
    made = (time.process_time() - began) * 1000
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        for name, content in certificates.files.items():
            Path(folder, name).write_text(content)
        yield {**os.environ, **tls.variables(folder)}, certificates.security, made


def _used(dask: DaskProcesses, action: Any) -> tuple[float, float]:
    """Return the seconds that an action takes, and its seconds of processor time."""
    began, before = time.perf_counter(), _processor(dask)
    action()
    return time.perf_counter() - began, _processor(dask) - before


def _processor(dask: DaskProcesses) -> float:
    return time.process_time() + dask.processor_of_scheduler() + dask.processor_of_workers()


def _tiny(client: Any, count: int) -> None:
    client.gather(client.map(_next, range(count), pure=False))


def _move(client: Any, arrays: Sequence[Any], worker: str) -> None:
    wait([client.submit(_size, array, workers=[worker], pure=False) for array in arrays])  # type: ignore[no-untyped-call]  # likewise


def _next(number: int) -> int:
    return number + 1


def _array(seed: int) -> Any:
    # Random, so that nothing compresses it.
    return np.random.default_rng(seed).random(ARRAY * 2**17)


def _size(array: Any) -> int:
    return int(array.nbytes)


def _median(measures: Measures, name: str, side: str) -> float:
    return float(statistics.median(measures[name][side]))


def _table(measures: Measures) -> str:
    lines = [f"| | {' | '.join(_SIDES)} |", f"|---|{'---|' * len(_SIDES)}"]
    for name, title in _TITLES.items():
        cells = []
        for side in _SIDES:
            values = measures[name][side]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _misses(measures: Measures) -> list[str]:
    start = (_median(measures, "start", _TLS) - _median(measures, "start", _PLAIN)) / CLUSTER_START
    rate = 1 - _median(measures, "rate", _TLS) / _median(measures, "rate", _PLAIN)
    return [
        f"TLS costs {share:.0%} of {what}, more than {MOST:.0%}"
        for share, what in ((start, "the start of a Dask cluster"), (rate, "the tiny tasks per second"))
        if share > MOST
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
