"""Every cause of a failed start, provoked on the real cluster: named in time, in the documented words, nothing left."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import admission, flow_pod
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.contract.quantities import cores
from tests.e2e.newcomer import RUNS, Newcomer
from tools.cluster.wait import until

SCRIPT = Path(__file__).with_name("in_pod_start.py")

CLUSTERS = "daskclusters.kubernetes.dask.org"

NAMED_WITHIN = 60.0
"""Seconds until a run's log, or its end, names the cause."""

AT_ONCE = 30.0
"""Seconds until a start that can never succeed has failed; a crash loop needs three starts of the process."""


def attempt(newcomer: Newcomer, flow: str, **order: Any) -> dict[str, Any]:
    reports = list(flow_pod.lines(SCRIPT, json.dumps({"flow": flow, **order})))
    assert len(reports) == 1, reports

    def left() -> str:
        return newcomer.kubectl(
            "get", "daskclusters,pods,services", "-l", f"ephemeral-dask/flow={flow}", "-o", "name", namespace=RUNS
        )

    assert until(lambda: not left(), seconds=60, interval=1), left()
    return reports[0]


def assert_named(report: dict[str, Any], cause: Cause, *words: str, at_once: bool) -> None:
    assert report["cause"] == cause.value, report
    assert all(re.search(word, report["message"]) for word in words), report
    if at_once:
        assert report["seconds"] < AT_ONCE, report
        return
    named = [seconds for seconds, line in report["lines"] if cause.value in line]
    assert named, report
    assert named[0] < NAMED_WITHIN, report


@pytest.fixture
def without_admission() -> Iterator[None]:
    """Let a run ask for what the policies of the stack would refuse."""
    with admission.unbound(RUNS):
        yield


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tampered": True}, "uses no network, processes or memory of its node"),
        ({"place": {"service_account": "flow-run"}}, "run as ServiceAccount dask"),
        ({"place": {"credential": {"name": "other", "key": "k", "variable": "KEY"}}}, "declares the Secrets"),
    ],
)
def test_what_the_admission_policies_refuse_fails_the_start_at_once_with_their_sentence(
    newcomer: Newcomer, change: dict[str, Any], words: str
) -> None:
    report = attempt(newcomer, "refused", **change)
    assert_named(report, Cause.REFUSED, words, at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_missing_image_is_named_and_waited_for(newcomer: Newcomer) -> None:
    repository = newcomer.shell("pulumi stack output flowImage").output.partition("@")[0].strip()
    image = f"{repository}@sha256:{'0' * 64}"
    report = attempt(newcomer, "no-image", place={"image": image})
    assert_named(report, Cause.IMAGE_PULL, re.escape(image), at_once=False)


@pytest.mark.usefixtures("shell")
def test_a_worker_that_fits_on_no_node_is_reported_with_the_missing_resource(newcomer: Newcomer) -> None:
    report = attempt(newcomer, "too-big", sizes={"worker_cpu": "512"})
    assert_named(report, Cause.UNSCHEDULABLE, "Insufficient cpu", at_once=False)


@pytest.mark.usefixtures("shell")
def test_a_worker_in_a_crash_loop_fails_the_start_at_once_with_its_last_log_lines(newcomer: Newcomer) -> None:
    report = attempt(newcomer, "crashing", env={"PYTHONHOME": "/missing"}, sizes={"start_timeout": 120})
    assert report["cause"] == Cause.CRASH_LOOP.value, report
    assert "last log lines" in report["message"]
    assert "encodings" in report["message"]
    assert report["seconds"] < NAMED_WITHIN, report


@pytest.mark.usefixtures("shell", "without_admission")
def test_a_pod_that_pod_security_refuses_fails_the_start_at_once(newcomer: Newcomer) -> None:
    report = attempt(newcomer, "forbidden", tampered=True)
    assert_named(report, Cause.POD_SECURITY, "host namespaces", at_once=True)


@pytest.mark.usefixtures("shell", "without_admission")
def test_a_missing_service_account_fails_the_start_at_once(newcomer: Newcomer) -> None:
    report = attempt(newcomer, "no-account", place={"service_account": "missing"})
    assert_named(report, Cause.RBAC, "missing", at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_namespace_without_permissions_for_the_run_fails_the_start_at_once(newcomer: Newcomer) -> None:
    report = attempt(newcomer, "elsewhere", place={"namespace": "default"})
    assert_named(report, Cause.RBAC, "cannot create resource", at_once=True)


@pytest.mark.usefixtures("shell", "without_admission")
def test_a_missing_secret_fails_the_start_at_once(newcomer: Newcomer) -> None:
    reference = {"name": "nothing", "key": "key", "variable": "PREFECT_API_KEY"}
    report = attempt(newcomer, "no-secret", place={"credential": reference})
    assert_named(report, Cause.CONTAINER, "nothing", at_once=True)


@contextlib.contextmanager
def quota(newcomer: Newcomer, cpu: str) -> Iterator[float]:
    """Give the cores that the namespace's pods request by now."""
    newcomer.kubectl("create", "quota", "tight", f"--hard=requests.cpu={cpu}", namespace=RUNS)

    def used() -> str:
        return newcomer.kubectl("get", "quota", "tight", "-o", "jsonpath={.status.used.requests\\.cpu}", namespace=RUNS)

    try:
        assert until(lambda: bool(used()), seconds=30, interval=0.5)
        yield cores(used())
    finally:
        newcomer.kubectl("delete", "quota", "tight", namespace=RUNS)


@pytest.mark.usefixtures("shell")
def test_a_quota_smaller_than_one_worker_fails_the_start_at_once(newcomer: Newcomer) -> None:
    with quota(newcomer, "50"):
        report = attempt(newcomer, "never-fits", sizes={"worker_cpu": "64"})
    assert_named(report, Cause.QUOTA, "exceeded quota", at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_quota_that_others_use_is_named_and_waited_for(newcomer: Newcomer) -> None:
    with quota(newcomer, "50") as used:
        pass
    with quota(newcomer, f"{used + cores(flow_pod.CPU) + 0.01:.3f}"):
        report = attempt(newcomer, "busy")
    assert_named(report, Cause.QUOTA, "exceeded quota", at_once=False)


@pytest.mark.usefixtures("shell")
def test_a_missing_operator_is_named_after_a_second_attempt(newcomer: Newcomer) -> None:
    newcomer.kubectl("scale", "deployment/dask-operator", "--replicas=0")
    try:
        newcomer.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=dask-operator", "--timeout=120s")
        report = attempt(newcomer, "no-operator", sizes={"start_timeout": 60})
    finally:
        newcomer.kubectl("scale", "deployment/dask-operator", "--replicas=1")
        newcomer.kubectl("rollout", "status", "deployment/dask-operator", "--timeout=180s")
    assert_named(report, Cause.OPERATOR, "does not react", at_once=False)


@contextlib.contextmanager
def restored_crd(newcomer: Newcomer) -> Iterator[dict[str, Any]]:
    """Yield the CRD of DaskClusters, then restore it and restart the operator."""
    crd: dict[str, Any] = json.loads(newcomer.kubectl("get", "crd", CLUSTERS, "-o", "json"))
    try:
        yield crd
    finally:
        kept = {"name": CLUSTERS, **{key: crd["metadata"][key] for key in ("labels", "annotations")}}
        whole = json.dumps({**crd, "metadata": kept, "status": None})
        newcomer.kubectl("delete", "crd", CLUSTERS, "--ignore-not-found")
        newcomer.kubectl("create", "--filename", "-", stdin=whole)
        newcomer.kubectl("wait", "--for=condition=Established", f"crd/{CLUSTERS}", "--timeout=60s")
        newcomer.kubectl("rollout", "restart", "deployment/dask-operator")
        newcomer.kubectl("rollout", "status", "deployment/dask-operator", "--timeout=180s")


@pytest.mark.usefixtures("shell")
def test_missing_crds_fail_the_start_at_once(newcomer: Newcomer) -> None:
    with restored_crd(newcomer):
        newcomer.kubectl("delete", "crd", CLUSTERS)
        [report] = flow_pod.lines(SCRIPT, json.dumps({"flow": "no-definitions"}))
    assert_named(report, Cause.CRDS, "serves no kind DaskCluster", at_once=True)


@pytest.mark.usefixtures("shell")
def test_crds_that_are_too_old_fail_the_start_at_once_and_name_the_missing_field(newcomer: Newcomer) -> None:
    with restored_crd(newcomer):
        field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/idleTimeout"
        newcomer.kubectl(
            "patch", "crd", CLUSTERS, "--type=json", f"--patch={json.dumps([{'op': 'remove', 'path': field}])}"
        )
        report = attempt(newcomer, "old-definitions")
    assert_named(report, Cause.CRDS, "spec.idleTimeout", at_once=True)
