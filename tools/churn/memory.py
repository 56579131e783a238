"""Whether the memory of the platform's pods is bounded, by samples of the kubelet's statistics."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MIB: Final = 2**20

GROWTH: Final = 0.2
"""Share by which a process may grow after its first runs."""

SLACK: Final = 24 * MIB
"""Bytes by which it may grow in addition: caches of a young process."""


def of_pods(summary: Mapping[str, Any], namespace: str) -> dict[str, int]:
    """Return pod -> bytes of its working set, the measure by which Kubernetes kills, from a node's `stats/summary`."""
    usage: dict[str, int] = {}
    for pod in summary.get("pods") or ():
        if pod["podRef"]["namespace"] != namespace:
            continue
        parts = [(container.get("memory") or {}).get("workingSetBytes") for container in pod.get("containers") or ()]
        if known := [part for part in parts if part is not None]:
            usage[pod["podRef"]["name"]] = sum(known)
    return usage


def has_grown(samples: Sequence[int]) -> bool:
    """Return whether memory goes on growing: the last quarter of the samples is compared with the second one."""
    quarter = len(samples) // 4
    if quarter == 0:
        return False
    early = statistics.median(samples[quarter : 2 * quarter])
    late = statistics.median(samples[-quarter:])
    return late > early * (1 + GROWTH) + SLACK


def described(samples: Iterable[int]) -> str:
    """Return first, last and largest sample as a person reads them."""
    values = [value / MIB for value in samples]
    return f"{values[0]:.0f} MiB at first, {values[-1]:.0f} MiB in the end, at most {max(values):.0f} MiB"
