"""What happens to a run on the real cluster when one of its pods is cut off from all others and works on."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ended, left, logged, state, task_states, task_states_become, with_tasks_under_way, working
from tools.cluster.wait import until

NOTICED = 90.0
"""Seconds: Dask gives up a connection after 30 s without an answer (`distributed.comm.timeouts.tcp`)."""


@contextlib.contextmanager
def cut_off(address: str) -> Iterator[None]:
    """Drop what a pod sends to other pods and gets from them. The kubelet reaches it all the same."""
    rules = [("FORWARD", direction, address, "-j", "DROP") for direction in ("-s", "-d")]
    for rule in rules:
        subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_a_run_goes_on_when_a_worker_is_cut_off_and_its_tasks_run_elsewhere(newcomer: Newcomer) -> None:
    run, _ = with_tasks_under_way(newcomer, "--param", "count=120")
    worker = working(newcomer, run)

    def status(field: str) -> str:
        return newcomer.kubectl("get", "pod", worker, "-o", f"jsonpath={{.status.{field}}}", namespace=RUNS)

    completed = task_states(newcomer, run).count("COMPLETED")
    with cut_off(status("podIP")):
        assert until(
            lambda: task_states(newcomer, run).count("COMPLETED") > completed + 20, seconds=NOTICED + 90, interval=3
        ), logged(newcomer, run)
        assert status("phase") == "Running", "the pod has ended, which is another fault"
        assert ended(newcomer, run, seconds=480)[0] == "COMPLETED", logged(newcomer, run)
    assert task_states_become(newcomer, run, {"COMPLETED"}), task_states(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)


def test_a_run_goes_on_with_another_cluster_when_its_flow_pod_was_cut_off_from_prefect_and_dask(
    newcomer: Newcomer,
) -> None:
    run, _ = with_tasks_under_way(newcomer, "--param", "count=60")
    flow_pod = f"{labels.PREFECT_FLOW_RUN}={run}"
    address = newcomer.kubectl("get", "pods", "-l", flow_pod, "-o", "jsonpath={.items[*].status.podIP}", namespace=RUNS)

    def clusters() -> set[str]:
        selector = f"ephemeral-dask/flow-run={run}"
        return set(newcomer.kubectl("get", "daskclusters", "-l", selector, "-o", "name", namespace=RUNS).split())

    first = clusters()
    assert len(first) == 1
    with cut_off(address):
        # The API server is not behind the rules: it listens on the node. What must run again, only Prefect knows.
        assert until(lambda: not clusters() & first, seconds=NOTICED + 60, interval=2), "the fault took no effect"
        assert state(newcomer, run)[0] == "RUNNING"
    assert ended(newcomer, run, seconds=480)[0] == "COMPLETED", logged(newcomer, run)
    assert "Restart 1 of 2" in logged(newcomer, run)
    assert task_states_become(newcomer, run, {"COMPLETED"}), task_states(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)
