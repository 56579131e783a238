"""The Dask operator on a real API server, with the permissions that a stack gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster
from tests.engine import control_plane, hollow_node, operator_process
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import serve_dask
from tools.cluster.api import Api
from tools.cluster.wait import until

pytestmark = pytest.mark.xdist_group("operator")

PLATFORM, RUNS = "flows", "flows-runs"
RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
GONE_WITHIN = 240.0
"""Seconds: where a pod is created during the deletion, Kubernetes tries again after 5, 10, 20 and 40 of them."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with control_plane.running(tmp_path_factory.mktemp("control-plane-of-operator"), {}) as plane:
        serve_dask(plane)
        for namespace in (PLATFORM, RUNS):
            plane.kubectl("create", "namespace", namespace)
        yield plane


@pytest.fixture(scope="module")
def log(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the operator, and return its log."""
    home = tmp_path_factory.mktemp("operator")
    with operator_process.running(kubernetes, home, platform=PLATFORM, runs=RUNS):
        yield home / "operator.log"


def handled(kubernetes: Kubernetes, log: Path, name: str, **pod: Any) -> dict[str, Any]:
    """Create a DaskCluster as a run does, wait until the operator has created its scheduler, and return it.

    Args:
        kubernetes: has the operator.
        log: the operator's.
        name: of the DaskCluster.
        pod: fields of its pods beside those of every run.

    """
    context = PodContext(namespace=RUNS, image="registry/flow", passed_on={})
    manifest = dask_cluster(name, run=RUN, context=context, settings=DaskSettings.from_env({}, CodeSizes()))
    for role in ("scheduler", "worker"):
        manifest["spec"][role]["spec"].update(pod)
    kubernetes.kubectl("create", "-f", "-", stdin=manifest)

    def scheduler() -> bool:
        return kubernetes.try_kubectl("get", f"deployment/{name}-scheduler", "-n", RUNS).returncode == 0

    assert until(scheduler, seconds=120, interval=0.5), log.read_text()[-3000:]
    result: dict[str, Any] = json.loads(kubernetes.kubectl("get", f"daskcluster/{name}", "-n", RUNS, "-o", "json"))
    return result


def ticks(log: Path, name: str) -> int:
    """Return how often the timer of a DaskCluster has run."""
    return log.read_text().count(f"{RUNS}/{name}] Timer")


def test_an_object_has_no_finalizer_and_its_timer_ends_with_it(kubernetes: Kubernetes, log: Path) -> None:
    assert "finalizers" not in handled(kubernetes, log, "one")["metadata"]
    assert until(lambda: ticks(log, "one") > 0, seconds=60, interval=0.5), log.read_text()[-3000:]
    kubernetes.kubectl("delete", "daskcluster", "one", "-n", RUNS, "--wait=true", "--timeout=60s")
    handled(kubernetes, log, "two")
    last = ticks(log, "one")
    assert until(lambda: ticks(log, "two") > 1, seconds=60, interval=0.5), log.read_text()[-3000:]
    assert ticks(log, "one") == last


def test_a_dask_pod_has_fields_that_are_newer_than_the_schema_of_dask_kubernetes(
    kubernetes: Kubernetes, log: Path
) -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
    handled(kubernetes, log, "newer", resourceClaims=claims)

    def deployments() -> list[dict[str, Any]]:
        of_the_cluster = ("-l", "dask.org/cluster-name=newer", "-n", RUNS, "-o", "json")
        return list(json.loads(kubernetes.kubectl("get", "deployments", *of_the_cluster))["items"])

    # The scheduler, and the one worker of a cluster's minimum.
    assert until(lambda: len(deployments()) == 2, seconds=60, interval=0.5), log.read_text()[-3000:]
    for deployment in deployments():
        assert deployment["spec"]["template"]["spec"]["resourceClaims"] == claims
    kubernetes.kubectl("delete", "daskcluster/newer", "-n", RUNS, "--wait=true", "--timeout=60s")


def test_the_namespace_of_runs_is_deleted_with_live_clusters_though_the_permissions_may_go_first(
    kubernetes: Kubernetes, log: Path
) -> None:
    for name in ("first", "second", "third"):
        handled(kubernetes, log, name)
    kubernetes.kubectl("delete", "namespace", RUNS, "--wait=false")

    def is_gone() -> bool:
        return kubernetes.try_kubectl("get", "namespace", RUNS).returncode != 0

    assert until(is_gone, seconds=GONE_WITHIN, interval=0.5), kubernetes.kubectl(
        "get", "namespace", RUNS, "-o", "jsonpath={.status.conditions}"
    )


def test_the_hollow_node_leaves_a_pod_to_the_deletion_of_its_namespace(kubernetes: Kubernetes) -> None:
    kubernetes.kubectl("create", "namespace", "ending")
    kept = {"name": "kept", "namespace": "ending", "finalizers": ["example.com/kept"]}
    kubernetes.kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept})
    kubernetes.kubectl("delete", "namespace", "ending", "--wait=false")
    api = Api(kubernetes.place.pki, kubernetes.place.ports.api)
    pod: dict[str, Any] = {"metadata": {"name": "late", "namespace": "ending"}, "spec": {}}
    hollow_node.advance(api, pod)
    kubernetes.kubectl(
        "patch", "configmap", "kept", "-n", "ending", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
