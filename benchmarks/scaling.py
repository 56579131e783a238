"""Scaling between 1 and 6 workers: a run's own autoscaler compared with the Dask operator's.

Run it with `make bench-scaling` on a stack that is up. Both scale the same cluster of the same image on the same node,
and take turns in going first. Two tasks are submitted first, and 120 more as soon as a second worker has joined, as in
a flow whose first step determines the work of the second. *To 2* and *to 6* are the seconds from the submission until
that many workers have joined, *down* those from the end of the last task until one worker is left. The rounds start at
different moments of the operator's interval, because its reaction to the first two tasks depends on that moment.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import flow_pod

_SCRIPT: Final = Path(__file__).with_name("in_pod_scaling.py")
_INTERVAL: Final = 5.0
"""Seconds between two checks of the operator's autoscaler."""

_SIDES: Final = {"ours": "this project", "operator": "the operator's DaskAutoscaler"}


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if this project scales faster both ways and computes nothing twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--without-peer", action="store_true", help="measure this project alone")
    options = parser.parse_args(arguments)
    sides = ["ours"] if options.without_peer else list(_SIDES)
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side in sides[:: 1 if number % 2 == 0 else -1]:
            start = f"{_INTERVAL * number / options.rounds:.2f}"
            result = list(flow_pod.lines(_SCRIPT, side, start, admitted=side == "ours"))[-1]
            print(f"{side}: {result}", file=sys.stderr, flush=True)
            results[side].append(result)
    medians = {
        side: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for side, rounds in results.items()
    }
    print("| | to 2 | to 6 | all done | down | worker-seconds | computed again |\n|---|---|---|---|---|---|---|")
    for side, one in medians.items():
        print(
            f"| {_SIDES[side]} | {one['two']:.1f} s | {one['up']:.1f} s | {one['done']:.1f} s | {one['down']:.1f} s "
            f"| {one['worker_seconds']:.0f} | {one['again']:.0f} |"
        )
    misses = ["results were computed again"] if any(one["again"] for one in results["ours"]) else []
    misses += ["not all workers came, or not all went"] if any(not one["whole"] for one in results["ours"]) else []
    if not options.without_peer:
        misses += [f"{way} is not faster" for way in ("up", "down") if medians["ours"][way] >= medians["operator"][way]]
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
