"""The main job for real: `make up` on a cluster of its own, a flow run with its Dask cluster, `make down`.

The tests share one stack, and each leaves it as it was. It has a state folder of its own, so that a user's own stack is
never touched.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from ephemeral_dask.contract import verification
from tests.e2e.attacks.attacker import AGENT
from tests.e2e.clones import changes
from tests.e2e.machine import Deployed, Machine
from tests.e2e.newcomer import NAMESPACE, RUNS, Newcomer
from tests.e2e.results import DELETE, LIST, on_results
from tests.e2e.runs import all_runs, summary
from tests.support import audit
from tools.cluster import LocalCluster, process
from tools.cluster.wait import until

CONTROL_PLANE = 1.2 * (1 << 30)
"""Bytes that the processes of the local cluster may take together."""

UNUSED: Mapping[str, str] = {
    "dask-operator: create events": "kopf reports an error in a handler that way, and a run's diagnosis reads it",
    "dask-operator: get pods": "scales a cluster that someone made with an autoscaler of the operator's",
    "dask-operator: patch daskautoscalers": "the same",
    "dask-operator: delete daskclusters": "ends a cluster that has been idle for its timeout, minutes at least",
    "dask-operator: delete deployments": "takes a retired worker away, which a short run often does not live to see",
    "dask-reaper: delete daskclusters": "ends what a killed flow pod leaves",
    "dask-reaper: delete daskworkergroups": "ends one whose cluster was deleted before it was the owner",
    "dask-reaper: get jobs": "looks up the owner of a Dask cluster that is not the Job of a flow run",
    "dask-reaper: delete jobs": "ends what does not start, and what outlives its run",
    "dask-reaper: get pods/log": "the last lines of a pod that was killed",
    "dask-reaper: list events": "why a pod does not start",
    "dask-reaper: patch daskautoscalers": "takes a finalizer away when the operator does not",
    "dask-reaper: patch daskclusters": "takes a finalizer away when the operator does not",
    "dask-reaper: patch daskworkergroups": "takes a finalizer away when the operator does not",
    "flow-run: create daskworkergroups": "makes the second worker group of a profile with large workers",
    "flow-run: list events": "why a Dask cluster takes more than 5 seconds to start, and why one was lost",
    "flow-run: get pods/log": "the last lines of a container that keeps ending",
    "prefect-worker: get jobs": "looks whether a failed pod was its Job's last before it calls a run Crashed",
    "prefect-worker: get pods/log": "the log of a pod that ended before it reached Prefect",
    "prefect-worker: delete jobs": "ends a run that is cancelled before its pod runs",
}
"""Right -> why a role has it although these tests make no use of it."""


PRIMES = 92938
"""The result of the flow with its own defaults: so many primes are below 60 * 20,000."""


def test_one_command_ends_with_the_flows_result_on_the_screen(deployed: Deployed) -> None:
    assert f"result: {PRIMES}" in deployed.first.output + deployed.first.progress


def test_the_run_had_more_workers_at_its_peak_than_its_minimum(deployed: Deployed) -> None:
    run = re.search("/flow-run/([0-9a-f-]{36})", deployed.first.progress)
    assert run, deployed.first.progress
    # The flow's process writes the summary after the final state.
    sizes = r"(\d+) to \d+, (\d+) at the peak"
    assert until(lambda: re.search(sizes, summary(deployed.newcomer, run[1])) is not None, seconds=60, interval=2)
    [(minimum, peak)] = re.findall(sizes, summary(deployed.newcomer, run[1]))
    assert int(peak) > int(minimum)


def test_nothing_of_the_dask_cluster_is_left_a_minute_after_the_run(newcomer: Newcomer) -> None:
    kinds = "daskclusters,daskworkergroups,daskautoscalers"

    def objects() -> str:
        pods = newcomer.kubectl("get", "pods", "-l", "dask.org/cluster-name", "-o", "name", namespace=RUNS)
        return newcomer.kubectl("get", kinds, "-o", "name", namespace=RUNS) + pods

    assert until(lambda: not objects(), seconds=60, interval=1), objects()


def test_outputs_say_what_other_teams_need(newcomer: Newcomer) -> None:
    outputs = json.loads(newcomer.shell("pulumi stack output --json").output)
    assert (outputs["namespace"], outputs["runsNamespace"]) == (NAMESPACE, RUNS)
    assert outputs["prefectApiUrl"].startswith("http://prefect-server.flows.svc")
    assert outputs["prefectUiUrl"].startswith("http://127.0.0.1:")
    assert outputs["workPool"] == "dask"
    assert re.fullmatch(r".+/ephemeral-dask-flow@sha256:[0-9a-f]{64}", outputs["flowImage"])
    assert set(outputs["deployments"]) >= {"primes/default"}


def test_every_pod_runs_an_image_by_digest(newcomer: Newcomer) -> None:
    images = newcomer.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}").split()
    assert images
    assert all("@sha256:" in image for image in images)


def metrics(newcomer: Newcomer) -> dict[str, str]:
    """Return what Prometheus would read of the reaper."""
    script = "import urllib.request as u; print(u.urlopen('http://localhost:8080/metrics', timeout=60).read().decode())"
    page = newcomer.kubectl("exec", "deployment/dask-reaper", "--", "python", "-c", script)
    return dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))


def test_the_page_for_prometheus_says_that_both_apis_answer_and_that_the_worker_lives(newcomer: Newcomer) -> None:
    # The reaper counts clusters every few seconds: the last one may have gone since.
    over = 'ephemeral_dask_clusters{state="over"}'
    assert until(lambda: metrics(newcomer)[over] == "0.0", seconds=60, interval=2)
    values = metrics(newcomer)
    for api in ("kubernetes", "prefect"):
        assert values[f'ephemeral_dask_api_up{{api="{api}"}}'] == "1.0"
        assert time.time() - float(values[f'ephemeral_dask_last_check_timestamp_seconds{{api="{api}"}}']) < 60
    heartbeat = values['ephemeral_dask_worker_heartbeat_timestamp_seconds{work_pool="dask"}']
    assert time.time() - float(heartbeat) < 180


def test_a_second_up_changes_no_resource(newcomer: Newcomer) -> None:
    done = newcomer.make("up")
    assert done.status == 0, done.progress
    assert "nothing changed" in done.progress


def test_what_prefect_knows_survives_its_pod(newcomer: Newcomer) -> None:
    newcomer.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=prefect-server", "--wait=true")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    done = newcomer.shell("COLUMNS=200 .venv/bin/prefect flow-run ls --limit 200")
    assert "primes" in done.output
    assert "COMPLETED" in done.output.upper()


def test_a_restore_brings_back_the_runs_and_the_results_of_a_backup(newcomer: Newcomer, tmp_path: Path) -> None:
    before, results = all_runs(newcomer), on_results(newcomer, LIST)
    assert before
    assert results.strip()
    made = newcomer.make("backup", f"FILE={tmp_path / 'backup.zip'}")
    assert made.status == 0, made.progress
    newcomer.ask("[await client.delete_flow_run(one.id) for one in await client.read_flow_runs(limit=200)]")
    on_results(newcomer, DELETE)
    assert (all_runs(newcomer), on_results(newcomer, LIST).strip()) == (set(), "")
    done = newcomer.make("restore", f"FILE={tmp_path / 'backup.zip'}")
    assert done.status == 0, done.progress
    assert (all_runs(newcomer), on_results(newcomer, LIST)) == (before, results)
    preview = newcomer.make("preview")
    assert "nothing changes" in preview.output, preview.output


def test_a_parameter_that_the_flow_does_not_take_ends_make_run_with_a_sentence(newcomer: Newcomer) -> None:
    done = newcomer.make("run", "FLOW=primes/default", "PARAMS=parts=1")
    assert done.status != 0
    assert "PARAMS does not fit" in done.progress
    assert "no run was started" in done.progress
    assert "Traceback" not in done.progress


def test_a_deployment_that_is_not_there_is_refused_with_those_that_are(newcomer: Newcomer) -> None:
    done = newcomer.make("run", "FLOW=primes/defualt")
    assert done.status != 0
    assert "primes/default" in done.progress


def test_a_stack_that_works_passes_its_verification_which_leaves_nothing(newcomer: Newcomer) -> None:
    done = newcomer.make("verify")
    assert done.status == 0, done.output + done.progress
    assert "failed" not in done.output
    assert "4 tasks on Dask" in done.output
    assert "it has handled the DaskCluster" in done.output
    shell = newcomer.shell("COLUMNS=200 .venv/bin/prefect flow ls; COLUMNS=200 .venv/bin/prefect deployment ls")
    assert "primes" in shell.output
    assert verification.FLOW not in shell.output
    assert "verification" not in newcomer.kubectl("get", "jobs,pods,daskclusters", "-o", "name", namespace=RUNS)


def test_a_cluster_goes_from_one_worker_to_six_and_back_and_computes_nothing_twice(newcomer: Newcomer) -> None:
    done = newcomer.shell(".venv/bin/python -m benchmarks.scaling --rounds 1 --without-peer")
    assert done.status == 0, done.progress
    assert "| this project |" in done.output


def test_four_dask_clusters_in_a_row_and_in_pairs_all_start(newcomer: Newcomer) -> None:
    done = newcomer.make("bench-churn", "STARTS=4")
    assert done.status == 0, done.output + done.progress
    assert "| 2 in pairs | 0 |" in done.output


@pytest.fixture
def killed_run(newcomer: Newcomer, deployed: Deployed) -> str:
    """Kill a run as the kernel kills one that is out of memory, without a moment to close anything; once per stack."""
    if not deployed.killed:
        run = newcomer.start("primes/default")
        assert until(lambda: "-worker-" in left(newcomer, run), seconds=180, interval=1), "the run got no Dask worker"
        # The local cluster's node is this machine, so a pod's processes are among its own.
        processes = process.with_variable("PREFECT__FLOW_RUN_ID", run)
        assert processes
        for identity in processes:
            identity.signal(signal.SIGKILL)
        deployed.killed.append(run)
    return deployed.killed[0]


def left(newcomer: Newcomer, run: str) -> str:
    """Return what there is in Kubernetes of a run."""
    kinds = "daskclusters,pods,services"
    return newcomer.kubectl("get", kinds, "-l", f"ephemeral-dask/flow-run={run}", "-o", "name", namespace=RUNS)


def test_nothing_is_left_a_minute_after_a_run_was_killed(newcomer: Newcomer, killed_run: str) -> None:
    assert until(lambda: not left(newcomer, killed_run), seconds=60, interval=1), left(newcomer, killed_run)


def test_no_identity_is_refused_anything_and_every_right_is_used(
    newcomer: Newcomer, deployed: Deployed, killed_run: str
) -> None:
    """After a run that ended well and one that was killed, each right that a role gives has been used."""
    assert until(lambda: not left(newcomer, killed_run), seconds=60, interval=1), left(newcomer, killed_run)
    log = LocalCluster(newcomer.place).info().audit_log
    asked = [one for one in audit.requests(log, since=deployed.since) if one.agent != AGENT]
    for namespace in (NAMESPACE, RUNS):
        assert [str(one) for one in audit.refused(asked, namespace=namespace)] == []
    assert not json.loads(newcomer.kubectl("get", "roles", "-o", "json"))["items"]
    roles, bindings = (
        json.loads(newcomer.kubectl("get", kind, "-o", "json", namespace=RUNS))["items"]
        for kind in ("roles", "rolebindings")
    )
    rights = audit.permissions(roles, bindings)
    assert rights
    unused = {f"{one.role}: {one.verb} {one.resource}" for one in audit.unused(rights, asked)}
    assert sorted(unused - set(UNUSED)) == []


def test_a_wrong_passphrase_is_one_sentence(newcomer: Newcomer) -> None:
    done = newcomer.make("up", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert done.status != 0
    assert "error: The passphrase is not the one" in done.progress


def test_the_control_plane_stays_small(newcomer: Newcomer) -> None:
    used = LocalCluster(newcomer.place).control_plane_memory()
    print(f"control plane: {used / (1 << 20):.0f} MiB")
    assert 0 < used < CONTROL_PLANE


@pytest.mark.takes_down
def test_down_destroys_the_stack_and_leaves_the_cluster(newcomer: Newcomer, machine: Machine) -> None:
    done = newcomer.make("down", YES="1")
    assert done.status == 0, done.progress
    rest = newcomer.shell(f"kubectl get namespace {NAMESPACE} {RUNS} --ignore-not-found -o name; kubectl get nodes")
    assert f"namespace/{NAMESPACE}" not in rest.output
    assert "Ready" in rest.output
    assert changes(newcomer.clone) == "", "the commands changed tracked files"
    machine.clear()
