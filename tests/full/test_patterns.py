"""What flows do beside mapping tasks, on the real cluster: tests/project/flows/patterns.py."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ask, logged
from tests.full.test_runs import ended, state
from tools.cluster.wait import until

LARGE: Final = 16 * 80 * 10**6
RESULTS: Final[dict[str, Any]] = {
    "retried": 10,
    "asynchronous": 6,
    "collection": 1.0,
    "large": LARGE,
    "arrays": LARGE,
}
"""Flow -> what it returns."""


def result(newcomer: Newcomer, run: str) -> Any:
    """Return what a run's flow has shown as its result."""
    only = f"filters.ArtifactFilter(flow_run_id={{'any_': ['{run}']}}, key={{'any_': ['flow-result']}})"
    [shown] = ask(newcomer, f"[one.data for one in await client.read_artifacts(artifact_filter={only})]")
    return json.loads(shown.removeprefix("```json").removesuffix("```"))


@pytest.mark.parametrize("flow", RESULTS)
def test_a_flow_of_this_pattern_completes_with_its_result(flow: str, newcomer: Newcomer) -> None:
    run = newcomer.start(f"{flow}/default")
    assert ended(newcomer, run, seconds=600) == "COMPLETED", logged(newcomer, run)
    assert result(newcomer, run) == RESULTS[flow]


def test_a_suspended_run_has_no_pod_and_continues_with_the_results_it_has(newcomer: Newcomer) -> None:
    run = newcomer.start("approved/default")
    assert until(lambda: state(newcomer, run) == "PAUSED", seconds=300, interval=2), logged(newcomer, run)
    selector = f"ephemeral-dask/flow-run={run}"

    def pods() -> str:
        return newcomer.kubectl("get", "pods", "-l", selector, "-o", "name", namespace=RUNS)

    assert until(lambda: not pods(), seconds=120, interval=2), "pods are left"
    assert ask(newcomer, f"str(await client.resume_flow_run('{run}'))")
    assert ended(newcomer, run) == "COMPLETED", logged(newcomer, run)
    assert result(newcomer, run) == 10
    assert logged(newcomer, run).count("Before the suspension") == 4
