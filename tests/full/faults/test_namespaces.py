"""What is left on the real cluster after `kubectl delete namespace` with live runs, and how a stack comes back."""

from __future__ import annotations

import pytest

from tests.e2e.clones import PENDING_TIMEOUT
from tests.e2e.newcomer import NAMESPACE, RUNS, Newcomer
from tests.e2e.runs import ended, left, logged, with_tasks_under_way
from tools.cluster.wait import until

BY_ITSELF = 240.0
"""Seconds: a flow pod whose Prefect server is gone uses up its grace period of 90 s, and nothing else has to end."""

pytestmark = pytest.mark.takes_down


def remaining(newcomer: Newcomer, *namespaces: str) -> str:
    """Return the names of those that still exist."""
    return newcomer.kubectl("get", "namespaces", "--ignore-not-found", "-o", "name", *namespaces)


def delete(newcomer: Newcomer, *namespaces: str) -> None:
    """Delete namespaces, and wait until they are gone."""
    newcomer.kubectl("delete", "namespace", *namespaces, "--wait=false")
    assert until(lambda: not remaining(newcomer, *namespaces), seconds=BY_ITSELF, interval=2), newcomer.kubectl(
        "get", "namespaces", "--ignore-not-found", "-o", "yaml", *namespaces
    )


def comes_back(newcomer: Newcomer) -> None:
    """Bring the stack up, and run a flow on Dask."""
    done = newcomer.make("up")
    assert done.status == 0, done.output + done.progress
    run = newcomer.start("steps/default", "--param", "count=4", "--param", "seconds=1")
    assert ended(newcomer, run, seconds=240)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)


def test_the_namespace_of_runs_can_be_deleted_with_a_live_cluster_and_the_next_up_restores_it(
    newcomer: Newcomer,
) -> None:
    run, _ = with_tasks_under_way(newcomer, "--param", "count=500")
    delete(newcomer, RUNS)
    kind, message = ended(newcomer, run, seconds=PENDING_TIMEOUT + 120)
    assert kind == "CRASHED", message
    comes_back(newcomer)


def test_both_namespaces_can_be_deleted_with_a_live_cluster_and_the_next_up_restores_them(newcomer: Newcomer) -> None:
    with_tasks_under_way(newcomer, "--param", "count=500")
    delete(newcomer, NAMESPACE, RUNS)
    comes_back(newcomer)
