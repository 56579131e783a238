"""The memory of the platform's pods during a churn."""

from __future__ import annotations

from typing import Any

import pytest

from tools.churn import memory
from tools.churn.memory import MIB


def pod(namespace: str, name: str, *used: int | None) -> dict[str, Any]:
    containers = [{"name": "c", "memory": {} if each is None else {"workingSetBytes": each}} for each in used]
    return {"podRef": {"name": name, "namespace": namespace}, "containers": containers}


def test_the_containers_of_a_pod_count_together_and_other_namespaces_do_not() -> None:
    summary = {"pods": [pod("flows", "server", 5, 7), pod("other", "server", 100), pod("flows", "new", None)]}
    assert memory.of_pods(summary, "flows") == {"server": 12}
    assert memory.of_pods({}, "flows") == {}


@pytest.mark.parametrize(
    ("samples", "grown"),
    [
        # A cache that fills in the first runs.
        ([100, *[200] * 19], False),
        # A process that is a little larger in the end.
        ([*[200] * 10, *[230] * 10], False),
        # One that keeps something of each run.
        ([200 + 10 * number for number in range(20)], True),
        # One peak is not growth.
        ([*[200] * 18, 900, 200], False),
        ([200, 900], False),
    ],
)
def test_only_memory_that_goes_on_growing_is_unbounded(samples: list[int], grown: bool) -> None:
    assert memory.has_grown([each * MIB for each in samples]) is grown


def test_samples_are_described_in_mebibytes() -> None:
    assert memory.described([MIB, 3 * MIB, 2 * MIB]) == "1 MiB at first, 2 MiB in the end, at most 3 MiB"
