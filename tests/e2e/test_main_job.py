"""The main job for real: `make up` on a cluster of its own, a flow run with its Dask cluster, `make down`.

The tests run in the order in which they stand, on one stack: each is a step of what a newcomer does. They share
the state folder of the tests of the local cluster, so a person's own stack is never touched.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from tests.e2e.newcomer import NAMESPACE, ROOT, Done, Newcomer
from tests.e2e.newcomer import newcomer as an_own_cluster
from tests.support import audit
from tools.cluster import LocalCluster, process
from tools.cluster.wait import until

CONTROL_PLANE = 1.2 * (1 << 30)
"""Bytes that the processes of the local cluster may take together."""

UNUSED: Mapping[str, str] = {
    "dask-operator: create events": "kopf tells of an error in a handler that way, and a run's diagnosis reads it",
    "dask-operator: get pods": "scales a cluster that somebody made with an autoscaler of the operator's",
    "dask-operator: patch daskautoscalers": "the same",
    "dask-operator: delete daskclusters": "ends a cluster that has been idle for its timeout, minutes at least",
    "dask-operator: delete deployments": "takes a retired worker away, which a short run often does not live to see",
    "dask-reaper: delete daskclusters": "ends what a flow pod leaves that had no moment to end it itself",
    "dask-reaper: patch daskautoscalers": "takes a finalizer away when the operator does not",
    "dask-reaper: patch daskclusters": "takes a finalizer away when the operator does not",
    "dask-reaper: patch daskworkergroups": "takes a finalizer away when the operator does not",
    "flow-run: create daskworkergroups": "makes the second worker group of a profile with large workers",
    "flow-run: get pods/log": "the last lines of a container that keeps ending",
    "prefect-worker: get jobs": "looks whether a failed pod was its Job's last before it calls a run Crashed",
    "prefect-worker: delete jobs": "ends a run that is cancelled before its pod runs",
}
"""Right -> why it is given although these tests make no use of it."""


def tracked_changes() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    with an_own_cluster(EPHEMERAL_DASK_NETWORK="ptp") as someone:
        yield someone


@pytest.fixture(scope="module")
def since() -> str:
    """When these tests began: an audit log of the same folder goes further back."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def before() -> str:
    return tracked_changes()


@pytest.fixture(scope="module")
def first(newcomer: Newcomer, before: str, since: str) -> Done:
    assert before is not None
    assert since
    done = newcomer.make("up")
    assert done.status == 0, done.told
    return done


def test_one_command_ends_with_the_flows_result_on_the_screen(first: Done) -> None:
    found = re.search(r"digits-search: Best: .*accuracy=(0\.\d+)", first.output)
    assert found, first.output
    assert 0.9 < float(found[1]) < 1


def test_the_run_had_more_workers_at_its_peak_than_its_minimum(first: Done) -> None:
    seen = [int(count) for count in re.findall(r"(\d+) worker Running", first.told)]
    assert seen, first.told
    assert max(seen) > 1


def test_nothing_of_the_dask_cluster_is_there_after_the_run(first: Done, newcomer: Newcomer) -> None:
    assert "Dask cluster: gone" in first.told
    assert newcomer.kubectl("get", "daskclusters,daskworkergroups,daskautoscalers", "-o", "name") == ""
    assert newcomer.kubectl("get", "pods", "-l", "dask.org/cluster-name", "-o", "name") == ""


@pytest.mark.usefixtures("first")
def test_outputs_say_what_other_teams_need(newcomer: Newcomer) -> None:
    outputs = json.loads(newcomer.shell("pulumi stack output --json").output)
    assert outputs["namespace"] == NAMESPACE
    assert outputs["prefectApiUrl"].startswith("http://prefect-server.flows.svc")
    assert outputs["prefectUiUrl"].startswith("http://127.0.0.1:")
    assert outputs["workPool"] == "dask"
    assert re.fullmatch(r".+/ephemeral-dask-flow@sha256:[0-9a-f]{64}", outputs["flowImage"])
    assert set(outputs["deployments"]) >= {"digits/search"}


@pytest.mark.usefixtures("first")
def test_every_pod_runs_an_image_by_digest(newcomer: Newcomer) -> None:
    images = newcomer.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}").split()
    assert images
    assert all("@sha256:" in image for image in images)


@pytest.mark.usefixtures("first")
def test_a_second_up_changes_no_resource(newcomer: Newcomer) -> None:
    done = newcomer.make("up")
    assert done.status == 0, done.told
    assert "nothing changed" in done.told


@pytest.mark.usefixtures("first")
def test_a_preview_of_what_is_deployed_shows_no_change(newcomer: Newcomer) -> None:
    done = newcomer.make("preview")
    assert done.status == 0, done.told
    assert not re.search(r"\d+ to (create|update|delete|replace)", done.output)


@pytest.mark.usefixtures("first")
def test_the_shell_of_make_env_speaks_to_pulumi_kubernetes_and_prefect(newcomer: Newcomer) -> None:
    done = newcomer.shell("pulumi stack ls; kubectl get nodes; .venv/bin/prefect deployment ls")
    assert done.status == 0, done.told
    assert "dev" in done.output
    assert "Ready" in done.output
    assert "digits/search" in done.output


@pytest.mark.usefixtures("first")
def test_what_prefect_knows_survives_its_pod(newcomer: Newcomer) -> None:
    newcomer.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=prefect-server", "--wait=true")
    newcomer.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=180s")
    done = newcomer.shell("COLUMNS=200 .venv/bin/prefect flow-run ls")
    assert "digits" in done.output
    assert "COMPLETED" in done.output.upper()


@pytest.mark.usefixtures("first")
def test_a_parameter_that_the_flow_does_not_take_ends_make_run_with_a_sentence(newcomer: Newcomer) -> None:
    done = newcomer.make("run", "FLOW=digits/search", "PARAMS=folds=1")
    assert done.status != 0
    assert "error: Prefect refused to run digits/search" in done.told
    assert "Traceback" not in done.told


@pytest.mark.usefixtures("first")
def test_a_deployment_that_is_not_there_is_refused_with_those_that_are(newcomer: Newcomer) -> None:
    done = newcomer.make("run", "FLOW=digits/serach")
    assert done.status != 0
    assert "digits/search" in done.told


@pytest.mark.usefixtures("first")
def test_a_cluster_goes_from_one_worker_to_six_and_back_and_computes_nothing_twice(newcomer: Newcomer) -> None:
    done = newcomer.shell(".venv/bin/python -m benchmarks.scaling --rounds 1 --without-peer")
    assert done.status == 0, done.told
    assert "| this project |" in done.output


@pytest.mark.usefixtures("first")
def test_ten_dask_clusters_in_a_row_and_in_pairs_all_start(newcomer: Newcomer) -> None:
    done = newcomer.make("bench-churn", "STARTS=10")
    assert done.status == 0, done.output + done.told
    assert "| 5 in pairs | 0 |" in done.output


@pytest.mark.usefixtures("first")
def test_nothing_is_left_a_minute_after_a_run_was_killed(newcomer: Newcomer) -> None:
    """As the kernel kills one that is out of memory: nobody has a moment to close anything."""
    run = newcomer.start("digits/search")
    label = f"ephemeral-dask/flow-run={run}"

    def left() -> str:
        return newcomer.kubectl("get", "daskclusters,pods,services", "-l", label, "-o", "name")

    assert until(lambda: "-worker-" in left(), seconds=180, interval=1), "the run got no Dask worker"
    # The local cluster's node is this machine, so a pod's processes are among its own.
    killed = process.with_variable("PREFECT__FLOW_RUN_ID", run)
    assert killed
    for identity in killed:
        identity.signal(signal.SIGKILL)
    assert until(lambda: not left(), seconds=60, interval=1), left()


@pytest.mark.usefixtures("first")
def test_no_identity_is_refused_anything_and_every_right_is_used(newcomer: Newcomer, since: str) -> None:
    """After a run that ended well and one that was killed: whoever has a right has made use of it."""
    asked = list(audit.requests(LocalCluster(newcomer.place).info().audit_log, since=since))
    assert [str(one) for one in audit.refused(asked, namespace=NAMESPACE)] == []
    roles, bindings = (
        json.loads(newcomer.kubectl("get", kind, "-o", "json"))["items"] for kind in ("roles", "rolebindings")
    )
    given = audit.permissions(roles, bindings)
    assert given
    unused = {f"{one.role}: {one.verb} {one.resource}" for one in audit.unused(given, asked)}
    assert sorted(unused - set(UNUSED)) == []


@pytest.mark.usefixtures("first")
def test_a_wrong_passphrase_is_one_sentence(newcomer: Newcomer) -> None:
    done = newcomer.make("up", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert done.status != 0
    assert "error: The passphrase is not the one" in done.told


@pytest.mark.usefixtures("first")
def test_the_control_plane_stays_small(newcomer: Newcomer) -> None:
    used = LocalCluster(newcomer.place).control_plane_memory()
    print(f"control plane: {used / (1 << 20):.0f} MiB")
    assert 0 < used < CONTROL_PLANE


@pytest.mark.usefixtures("first")
def test_down_destroys_the_stack_and_leaves_the_cluster(newcomer: Newcomer) -> None:
    done = newcomer.make("down")
    assert done.status == 0, done.told
    left = newcomer.shell(f"kubectl get namespace {NAMESPACE} --ignore-not-found -o name; kubectl get nodes")
    assert f"namespace/{NAMESPACE}" not in left.output
    assert "Ready" in left.output


def test_all_of_it_left_no_tracked_file_changed(before: str) -> None:
    assert tracked_changes() == before
