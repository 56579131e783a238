"""What it costs that the connections of a Dask cluster are encrypted: with a run's certificates, and without.

Run it with `make bench-tls`. Each measurement has a scheduler and two workers of its own, processes on the loopback
interface, and the sides take turns. Processor time is counted in all processes, the client's included: on a busy
machine it says more than seconds. Only the connection takes time here: no pod starts, a task adds one to a
number, and the network is as fast as memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
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
ARRAYS: Final = 8
ARRAY: Final = 64
"""Number and MiB of the arrays that move from one worker to the other."""
MOST: Final = 0.1
"""Share of a start and of the processor time of tiny tasks that TLS may cost."""
PREFECT_TASK: Final = 45.0
"""Milliseconds of processor time of a tiny Prefect task in worker, flow and scheduler: see `benchmarks.tasks`."""

_PLAIN, _TLS = _SIDES = ("plain", "TLS")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One cluster.

    Attributes:
        certificates: milliseconds of processor time in which they are made.
        start: seconds until the workers have joined.
        start_processor: seconds of processor time for that.
        rate: tiny tasks per second.
        task: milliseconds of processor time for one of them.
        moved: MiB per second from one worker to the other.
        moved_processor: milliseconds of processor time per MiB.

    """

    certificates: float
    start: float
    start_processor: float
    rate: float
    task: float
    moved: float
    moved_processor: float


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--tasks", type=int, default=2000, help="tiny tasks of a measurement")
    options = parser.parse_args(arguments)
    measures: dict[str, list[Measure]] = {side: [] for side in _SIDES}
    for number in range(options.rounds):
        for side in _SIDES if number % 2 == 0 else reversed(_SIDES):
            measure = _measure(side, options.tasks)
            measures[side].append(measure)
            print(f"{side}: {measure}", file=sys.stderr, flush=True)
    print(_table(measures))
    misses = _misses(measures)
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


def _measure(side: str, tasks: int) -> Measure:
    with _environment(side) as (environment, security, made):
        began = time.perf_counter()
        with dask_processes.running(WORKERS, environment, security) as dask:
            connect: Any = Client
            with connect(dask.address, security=security) as client:
                client.wait_for_workers(WORKERS)
                start = time.perf_counter() - began
                start_processor = dask.processor_of_scheduler() + dask.processor_of_workers()
                _tiny(client, 200)  # the imports of the workers do not count
                seconds, used = _used(dask, lambda: _tiny(client, tasks))
                first, second = client.scheduler_info()["workers"]
                arrays = [client.submit(_array, each, workers=[first], pure=False) for each in range(ARRAYS)]
                wait(arrays)  # type: ignore[no-untyped-call]  # it carries no annotation
                transfer, transfer_used = _used(dask, lambda: _move(client, arrays, second))
    size = ARRAYS * ARRAY
    return Measure(
        certificates=made,
        start=start,
        start_processor=start_processor,
        rate=tasks / seconds,
        task=used / tasks * 1000,
        moved=size / transfer,
        moved_processor=transfer_used / size * 1000,
    )


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
        pods = certificates.pods
        for name, content in (
            (tls.AUTHORITY, certificates.authority),
            (tls.CERTIFICATE, pods.certificate),
            (tls.KEY, pods.key),
        ):
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
    futures = [client.submit(_size, array, workers=[worker], pure=False) for array in arrays]
    wait(futures)  # type: ignore[no-untyped-call]  # likewise


def _next(number: int) -> int:
    return number + 1


def _array(seed: int) -> Any:
    # Random, so that nothing compresses it.
    return np.random.default_rng(seed).random(ARRAY * 2**17)


def _size(array: Any) -> int:
    return int(array.nbytes)


def _median(measures: Sequence[Measure], name: str) -> float:
    return float(statistics.median(getattr(each, name) for each in measures))


def _table(measures: dict[str, list[Measure]]) -> str:
    titles = {
        "certificates": "certificates, ms of processor time",
        "start": "start of scheduler and workers, s",
        "start_processor": "processor for that, s",
        "rate": "tiny tasks per second",
        "task": "processor per tiny task, ms",
        "moved": "arrays from worker to worker, MiB per second",
        "moved_processor": "processor per MiB, ms",
    }
    if list(titles) != [each.name for each in fields(Measure)]:
        raise AssertionError("every measure has a title")
    lines = [f"| | {' | '.join(_SIDES)} |", f"|---|{'---|' * len(_SIDES)}"]
    for name, title in titles.items():
        cells = []
        for side in _SIDES:
            values = [getattr(each, name) for each in measures[side]]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _misses(measures: dict[str, list[Measure]]) -> list[str]:
    plain, secure = measures[_PLAIN], measures[_TLS]
    start = _median(secure, "start_processor") / _median(plain, "start_processor") - 1
    task = (_median(secure, "task") - _median(plain, "task")) / PREFECT_TASK
    return [
        f"TLS costs {share:.0%} of {what}, more than {MOST:.0%}"
        for share, what in ((start, "the processor time of a start"), (task, "that of a tiny Prefect task"))
        if share > MOST
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
