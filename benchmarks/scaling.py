"""Scaling between 1 and 6 workers: a run's own autoscaler beside the Dask operator's.

Run it with `make bench-scaling` on a stack that is up. Both scale the same cluster of the same image on the same
node, and take turns in going first. Two tasks come first, and 120 more as soon as a second worker has joined, as in a
flow whose first step tells how much the second has to do. *To 2* and *to 6* are from the submission until the last of
so many workers has joined, *down* is from the last task's end until one worker is left. The rounds begin at different
moments of the operator's interval, which its answer to the first two tasks depends on.
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
"""Seconds between two looks of the operator's autoscaler."""

_SIDES: Final = {"ours": "this project", "operator": "the operator's DaskAutoscaler"}


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if ours is the faster both ways and computes nothing twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--without-peer", action="store_true", help="measure this project alone")
    chosen = parser.parse_args(arguments)
    sides = ["ours"] if chosen.without_peer else list(_SIDES)
    seen: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(chosen.rounds):
        for side in sides[:: 1 if number % 2 == 0 else -1]:
            told = list(flow_pod.lines(_SCRIPT, side, f"{_INTERVAL * number / chosen.rounds:.2f}"))[-1]
            print(f"{side}: {told}", file=sys.stderr, flush=True)
            seen[side].append(told)
    medians = {
        side: {key: statistics.median(one[key] for one in told) for key in told[0]} for side, told in seen.items()
    }
    print("| | to 2 | to 6 | all done | down | worker-seconds | computed again |\n|---|---|---|---|---|---|---|")
    for side, one in medians.items():
        print(
            f"| {_SIDES[side]} | {one['two']:.1f} s | {one['up']:.1f} s | {one['done']:.1f} s | {one['down']:.1f} s "
            f"| {one['worker_seconds']:.0f} | {one['again']:.0f} |"
        )
    missed = ["results were computed again"] if any(one["again"] for one in seen["ours"]) else []
    missed += ["not all workers came, or not all went"] if any(not one["whole"] for one in seen["ours"]) else []
    if not chosen.without_peer:
        missed += [f"{way} is not faster" for way in ("up", "down") if medians["ours"][way] >= medians["operator"][way]]
    for sentence in missed:
        print(f"missed: {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
