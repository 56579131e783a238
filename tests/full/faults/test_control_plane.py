"""What happens to runs on the real cluster without an operator, and when the Kubernetes API fails or restarts."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil

from ephemeral_dask.contract import dask
from ephemeral_dask.contract.causes import Cause
from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ask, ended, jobs, left, logged, scaled_down, state, task_states
from tools.cluster import process
from tools.cluster.layout import POD_CIDR
from tools.cluster.wait import until

API_SERVER = "kube-apiserver"
START_TIMEOUT = 60
"""Seconds that the starts without an operator may take."""

WITHOUT_ANSWER = "creations-fail.example.com"
"""A webhook at an address at which nothing listens."""

FLAPPING = 120.0
"""Seconds for which requests to the API server are lost."""


@contextlib.contextmanager
def failing_creations(newcomer: Newcomer) -> Iterator[None]:
    """Let the API server answer each creation of a DaskCluster with 500."""
    webhook = {
        "name": WITHOUT_ANSWER,
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [
            {
                "apiGroups": [dask.GROUP],
                "apiVersions": ["*"],
                "operations": ["CREATE"],
                "resources": [dask.CLUSTERS],
            }
        ],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "creations-fail"},
        "webhooks": [webhook],
    }
    newcomer.kubectl("create", "-f", "-", stdin=json.dumps(configuration))
    try:
        yield
    finally:
        newcomer.kubectl("delete", "validatingwebhookconfiguration", "creations-fail")


@contextlib.contextmanager
def flapping(newcomer: Newcomer) -> Iterator[Callable[[], int]]:
    """Reset the connection of one in twenty packets from pods to the API server, and yield how many there were.

    A request on a new connection has about eight packets, so a third of them fail.
    """
    port = str(newcomer.place.ports.api.number)
    chance = ("-m", "statistic", "--mode", "random", "--probability", "0.05")
    rule = ("-p", "tcp", "-s", POD_CIDR, "--dport", port, *chance, "-j", "REJECT", "--reject-with", "tcp-reset")

    def resets() -> int:
        listed = subprocess.run(["iptables", "-w", "-nvxL", "INPUT"], capture_output=True, text=True, check=True)
        [line] = re.findall(rf"^.*dpt:{port} statistic.*$", listed.stdout, re.MULTILINE)
        return int(line.split()[0])

    subprocess.run(["iptables", "-w", "-I", "INPUT", *rule], check=True)
    try:
        yield resets
    finally:
        subprocess.run(["iptables", "-w", "-D", "INPUT", *rule], check=True)


def restart_api_server(newcomer: Newcomer) -> None:
    """Kill the API server of the local cluster, start it again as it was, and wait until it is ready."""
    place = newcomer.place
    killed = process.read_pid_file(place.pid_file(API_SERVER))
    assert killed is not None
    command, environment = process.command_line(killed.pid), psutil.Process(killed.pid).environ()
    mark = environment.pop(process.MARK)
    assert not process.stop([killed], grace=0), "the fault took no effect"
    log, pid_file = place.log(API_SERVER), place.pid_file(API_SERVER)
    process.start(command, log=log, pid_file=pid_file, mark=mark, environment=environment)
    assert until(lambda: newcomer.try_kubectl("get", "--raw", "/readyz").status == 0, seconds=120, interval=0.5), (
        process.tail(log)
    )


def test_a_run_goes_on_when_the_api_server_restarts_during_its_start_and_its_tasks(newcomer: Newcomer) -> None:
    run = newcomer.start("steps/default")
    assert until(lambda: "daskcluster" in left(newcomer, run), seconds=120, interval=0.5), logged(newcomer, run)
    restart_api_server(newcomer)
    assert until(lambda: "COMPLETED" in task_states(newcomer, run), seconds=240, interval=2), logged(newcomer, run)
    restart_api_server(newcomer)
    assert state(newcomer, run)[0] == "RUNNING", "the fault came too late"
    assert ended(newcomer, run, seconds=240)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)


def test_a_run_goes_on_when_the_creation_of_its_dask_cluster_failed_at_first(newcomer: Newcomer) -> None:
    with failing_creations(newcomer):
        run = newcomer.start("steps/default")
        assert until(lambda: WITHOUT_ANSWER in logged(newcomer, run), seconds=180, interval=2), "it took no effect"
        assert not left(newcomer, run)
        assert state(newcomer, run)[0] == "RUNNING"
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)


def test_a_run_completes_and_leaves_nothing_while_requests_to_the_api_server_are_lost(newcomer: Newcomer) -> None:
    """From the Job on, whose creation Prefect's worker tries three times."""
    run = newcomer.start("steps/default", "--param", "count=60")
    assert until(lambda: "pod/" in jobs(newcomer, run), seconds=120, interval=0.5), state(newcomer, run)
    begun = time.monotonic()
    with flapping(newcomer) as resets:
        assert until(lambda: "COMPLETED" in task_states(newcomer, run), seconds=300, interval=2), logged(newcomer, run)
        assert until(lambda: time.monotonic() - begun > FLAPPING, seconds=2 * FLAPPING, interval=2)
        assert resets() > 20, "the fault took no effect"
    assert ended(newcomer, run, seconds=300)[0] == "COMPLETED", logged(newcomer, run)
    assert until(lambda: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)


def test_runs_without_an_operator_fail_with_the_cause_in_time_and_the_pool_goes_on(newcomer: Newcomer) -> None:
    with scaled_down(newcomer, "dask-operator"):
        limit = ("--job-variable", f"dask_start_timeout={START_TIMEOUT}")
        runs = [newcomer.start("steps/default", *limit) for _ in range(3)]
        for run in runs:
            kind, message = ended(newcomer, run, seconds=START_TIMEOUT + 120)
            assert kind in ("FAILED", "CRASHED"), message
            assert Cause.OPERATOR in message, message
    assert not ask(newcomer, "(await client.read_work_pool('dask')).is_paused")
    for run in runs:
        assert until(lambda run=run: not left(newcomer, run), seconds=90, interval=1), left(newcomer, run)
    following = newcomer.start("steps/default", "--param", "count=4", "--param", "seconds=1")
    assert ended(newcomer, following, seconds=240)[0] == "COMPLETED", logged(newcomer, following)
