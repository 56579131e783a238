"""Runs on the real cluster: where the size of a Dask cluster comes from, evictions, two runs at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import flow_pod
from tests.e2e import runs
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ask, changed_template, logged
from tools.cluster.wait import until


def state(newcomer: Newcomer, run: str) -> str:
    return runs.state(newcomer, run)[0]


def ended(newcomer: Newcomer, run: str, *, seconds: float = 420) -> str:
    """Wait for a run's end and return its state."""
    return runs.ended(newcomer, run, seconds=seconds)[0]


def of(newcomer: Newcomer, run: str, kinds: str = "daskclusters") -> list[str]:
    return newcomer.kubectl("get", kinds, "-l", f"ephemeral-dask/flow-run={run}", "-o", "name", namespace=RUNS).split()


def test_a_size_of_the_run_has_precedence_over_those_of_the_deployment_and_the_code(newcomer: Newcomer) -> None:
    run = newcomer.start("primes/default", "--param", "parts=24", "--job-variable", "dask_maximum=2")
    assert ended(newcomer, run) == "COMPLETED", logged(newcomer, run)
    assert "with 1 to 2 workers of 200m CPU" in logged(newcomer, run)


def test_more_workers_than_the_stacks_ceiling_are_refused_before_a_run_is_made(newcomer: Newcomer) -> None:
    done = newcomer.shell(".venv/bin/prefect deployment run primes/default --job-variable dask_maximum=99")
    assert done.status != 0
    assert "99 is greater than the maximum of 16" in done.output + done.progress


def test_a_run_under_a_uid_without_a_passwd_entry_completes_and_its_dask_pods_share_it(
    newcomer: Newcomer,
) -> None:
    def as_some_clusters_do_with_all_pods(pod: dict[str, Any]) -> None:
        pod["securityContext"]["runAsUser"] = 54321

    with changed_template(newcomer, as_some_clusters_do_with_all_pods):
        run = newcomer.start("primes/default")
        assert until(lambda: bool(of(newcomer, run)), seconds=240, interval=1)
        field = "jsonpath={.items[*].spec.securityContext.runAsUser}"
        selector = f"ephemeral-dask/flow-run={run}"

        def users() -> set[str]:
            return set(newcomer.kubectl("get", "pods", "-l", selector, "-o", field, namespace=RUNS).split())

        assert until(lambda: bool(users()), seconds=60, interval=0.5)
        assert users() == {"54321"}
        assert ended(newcomer, run) == "COMPLETED", logged(newcomer, run)


@pytest.mark.usefixtures("shell")
def test_large_tasks_run_on_a_second_worker_group_that_exists_only_while_it_is_needed(newcomer: Newcomer) -> None:
    script = Path(__file__).with_name("in_pod_groups.py")
    [ran] = flow_pod.lines(script, "groups")
    assert ran["large"] == {"large": 1}
    # An idle large worker takes any task, so only what is left is certain, and that ordinary workers came.
    assert ran["after large"] == {}
    assert ran["ordinary"] == {"default": 2}
    assert ran["after ordinary"] == {}
    assert until(
        lambda: not newcomer.kubectl("get", "daskworkergroups", "-o", "name", namespace=RUNS), seconds=60, interval=1
    )


def test_two_runs_at_the_same_time_share_no_kubernetes_object(newcomer: Newcomer) -> None:
    both = [newcomer.start("primes/default") for _ in range(2)]
    assert until(lambda: all(of(newcomer, run) for run in both), seconds=240, interval=1)
    pods = [set(of(newcomer, run, "pods,services,daskclusters")) for run in both]
    assert not pods[0] & pods[1]
    assert [ended(newcomer, run) for run in both] == ["COMPLETED", "COMPLETED"]


def test_an_evicted_run_continues_on_a_new_dask_cluster_with_the_task_results_it_has(newcomer: Newcomer) -> None:
    run = newcomer.start("primes/default", "--param", "parts=180")
    assert until(lambda: "pod/" in " ".join(of(newcomer, run, "pods")), seconds=180, interval=1)
    assert until(lambda: finished_tasks(newcomer, run) >= 5, seconds=240, interval=2)
    first = of(newcomer, run)
    pods = newcomer.kubectl(
        "get", "pods", "-l", "ephemeral-dask/component=flow-run", "-o", "name", namespace=RUNS
    ).split()
    evict(newcomer, pods)
    assert until(lambda: not set(first) & set(of(newcomer, run)), seconds=90, interval=1), "the old cluster stays"
    assert ended(newcomer, run) == "COMPLETED", logged(newcomer, run)
    assert attempts(newcomer, run) == 2
    assert task_states(newcomer, run).count("Cached") >= 5


def evict(newcomer: Newcomer, pods: list[str]) -> None:
    for pod in pods:
        newcomer.kubectl("delete", pod, "--wait=false", namespace=RUNS)


def task_states(newcomer: Newcomer, run: str) -> list[str]:
    """Return the names of the states of the run's task runs."""
    of_the_run = (
        "__import__('prefect.client.schemas.filters', fromlist=['*']).FlowRunFilter(id={'any_': ['" + run + "']})"
    )
    asked = f"await client.read_task_runs(flow_run_filter={of_the_run}, limit=200)"
    return [str(name) for name in ask(newcomer, f"[one.state_name for one in {asked}]")]


def finished_tasks(newcomer: Newcomer, run: str) -> int:
    return task_states(newcomer, run).count("Completed")


def attempts(newcomer: Newcomer, run: str) -> int:
    return int(ask(newcomer, f"(await client.read_flow_run('{run}')).run_count"))
