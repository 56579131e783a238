"""A run that lives longer than the tokens of its pods and than the watches of the platform."""

from __future__ import annotations

from typing import Final

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ended, left, logged, running, task_states, task_states_become
from tools.cluster.wait import until

TOKEN: Final = 3607
"""Seconds for which Kubernetes issues the token of a pod. The kubelet renews it after four fifths of them."""

TASK: Final = 45
"""Seconds of each task."""

COUNT: Final = 2 * 3900 // TASK
"""Tasks that keep two workers busy for longer than a token lasts."""

ISSUED: Final = """
import base64, json
token = open("/var/run/secrets/kubernetes.io/serviceaccount/token").read()
payload = token.split(".")[1]
print(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"])
"""
"""Prints when the token of a pod was issued, and nothing else of it."""


def test_a_run_of_more_than_an_hour_completes_with_the_tokens_that_it_gets_meanwhile(newcomer: Newcomer) -> None:
    run = running(newcomer, "steps/default", "--param", f"count={COUNT}", "--param", f"seconds={TASK}")
    selector = f"{labels.PREFECT_FLOW_RUN}={run}"
    pod = newcomer.kubectl("get", "pods", "-l", selector, "-o", "name", namespace=RUNS).strip()

    def issued() -> int:
        return int(newcomer.kubectl("exec", pod, "--", "python", "-c", ISSUED, namespace=RUNS))

    first = issued()
    assert until(lambda: issued() > first, seconds=TOKEN, interval=30), "the fault took no effect"
    assert ended(newcomer, run, seconds=TOKEN)[0] == "COMPLETED", logged(newcomer, run)
    assert task_states_become(newcomer, run, {"COMPLETED"}), task_states(newcomer, run)
    assert len(task_states(newcomer, run)) == COUNT + 1
    assert until(lambda: not left(newcomer, run), seconds=60, interval=1), left(newcomer, run)
