"""Start Dask clusters one after another and in pairs, and run a task on each.

Run it with `make bench-churn` on a stack that is up; `STARTS=10` makes it short. It fails if any start failed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import flow_pod

_SCRIPT: Final = Path(__file__).with_name("in_pod_churn.py")


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if every start succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=200, help="half of them one after another, half in pairs")
    options = parser.parse_args(arguments)
    print("| clusters | failed | start, median | start, longest | start to gone, median |\n|---|---|---|---|---|")
    failures: list[str] = []
    for side_by_side, title in ((1, "one after another"), (2, "in pairs")):
        results = list(flow_pod.lines(_SCRIPT, str(options.starts // 2), str(side_by_side)))
        failures += (failed := [one["failed"] for one in results if "failed" in one])
        started = [one["started"] for one in results if "started" in one] or [0.0]
        whole = statistics.median([one["whole"] for one in results if "whole" in one] or [0.0])
        print(
            f"| {len(results)} {title} | {len(failed)} | {statistics.median(started):.1f} s | {max(started):.1f} s "
            f"| {whole:.1f} s |",
            flush=True,
        )
        if len(results) != options.starts // 2:
            failures.append(f"{len(results)} of {options.starts // 2} starts {title} were reported")
    for sentence in failures:
        print(f"failed: {sentence}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
