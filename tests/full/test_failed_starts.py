"""Every cause of a failed start, provoked on the real cluster: named in time, in the agreed words, nothing left."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import flow_pod
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.contract.quantities import cores
from tests.e2e.newcomer import Newcomer
from tools.cluster.wait import until

SCRIPT = Path(__file__).with_name("in_pod_start.py")

CLUSTERS = "daskclusters.kubernetes.dask.org"

NAMED_WITHIN = 60.0
"""Seconds until a run's log, or its end, names the cause."""

AT_ONCE = 30.0
"""Seconds until a start that can never succeed has failed; a crash loop needs three starts of the process."""


def attempt(newcomer: Newcomer, flow: str, **given: Any) -> dict[str, Any]:
    told = list(flow_pod.lines(SCRIPT, json.dumps({"flow": flow, **given})))
    assert len(told) == 1, told

    def left() -> str:
        return newcomer.kubectl("get", "daskclusters,pods,services", "-l", f"ephemeral-dask/flow={flow}", "-o", "name")

    assert until(lambda: not left(), seconds=60, interval=1), left()
    return told[0]


def assert_named(told: dict[str, Any], cause: Cause, *words: str, at_once: bool) -> None:
    assert told["cause"] == cause.value, told
    assert all(re.search(word, told["message"]) for word in words), told
    if at_once:
        assert told["seconds"] < AT_ONCE, told
        return
    named = [seconds for seconds, line in told["lines"] if cause.value in line]
    assert named, told
    assert named[0] < NAMED_WITHIN, told


@pytest.mark.usefixtures("shell")
def test_an_image_that_is_not_there_is_named_and_waited_for(newcomer: Newcomer) -> None:
    repository = newcomer.shell("pulumi stack output flowImage").output.partition("@")[0].strip()
    image = f"{repository}@sha256:{'0' * 64}"
    told = attempt(newcomer, "no-image", place={"image": image})
    assert_named(told, Cause.IMAGE_PULL, re.escape(image), at_once=False)


@pytest.mark.usefixtures("shell")
def test_a_worker_that_no_node_can_take_is_named_with_what_is_missing(newcomer: Newcomer) -> None:
    told = attempt(newcomer, "too-big", sizes={"worker_cpu": "512"})
    assert_named(told, Cause.UNSCHEDULABLE, "Insufficient cpu", at_once=False)


@pytest.mark.usefixtures("shell")
def test_a_worker_that_keeps_ending_fails_at_once_with_its_last_words(newcomer: Newcomer) -> None:
    told = attempt(newcomer, "crashing", env={"PYTHONHOME": "/nowhere"}, sizes={"start_timeout": 120})
    assert told["cause"] == Cause.CRASH_LOOP.value, told
    assert "last log lines" in told["message"]
    assert "encodings" in told["message"]
    assert told["seconds"] < NAMED_WITHIN, told


@pytest.mark.usefixtures("shell")
def test_a_pod_that_pod_security_refuses_fails_at_once(newcomer: Newcomer) -> None:
    told = attempt(newcomer, "forbidden", tampered=True)
    assert_named(told, Cause.POD_SECURITY, "host namespaces", at_once=True)


@pytest.mark.usefixtures("shell")
def test_an_account_that_is_not_there_fails_at_once(newcomer: Newcomer) -> None:
    told = attempt(newcomer, "no-account", place={"service_account": "nobody"})
    assert_named(told, Cause.RBAC, "nobody", at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_namespace_in_which_the_run_has_no_rights_fails_at_once(newcomer: Newcomer) -> None:
    told = attempt(newcomer, "elsewhere", place={"namespace": "default"})
    assert_named(told, Cause.RBAC, "cannot create resource", at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_secret_that_is_not_there_fails_at_once(newcomer: Newcomer) -> None:
    reference = {"name": "nothing", "key": "key", "variable": "PREFECT_API_KEY"}
    told = attempt(newcomer, "no-secret", place={"credential": reference})
    assert_named(told, Cause.CONTAINER, "nothing", at_once=True)


@contextlib.contextmanager
def quota(newcomer: Newcomer, cpu: str) -> Iterator[float]:
    """Give the cores that the namespace's pods request by now."""
    newcomer.kubectl("create", "quota", "tight", f"--hard=requests.cpu={cpu}")

    def used() -> str:
        return newcomer.kubectl("get", "quota", "tight", "-o", "jsonpath={.status.used.requests\\.cpu}")

    try:
        assert until(lambda: bool(used()), seconds=30, interval=0.5)
        yield cores(used())
    finally:
        newcomer.kubectl("delete", "quota", "tight")


@pytest.mark.usefixtures("shell")
def test_a_quota_that_can_never_hold_a_worker_fails_at_once(newcomer: Newcomer) -> None:
    with quota(newcomer, "50"):
        told = attempt(newcomer, "never-fits", sizes={"worker_cpu": "64"})
    assert_named(told, Cause.QUOTA, "exceeded quota", at_once=True)


@pytest.mark.usefixtures("shell")
def test_a_quota_that_others_use_up_is_named_and_waited_for(newcomer: Newcomer) -> None:
    with quota(newcomer, "50") as used:
        pass
    with quota(newcomer, f"{used + cores(flow_pod.CPU) + 0.01:.3f}"):
        told = attempt(newcomer, "busy")
    assert_named(told, Cause.QUOTA, "exceeded quota", at_once=False)


@pytest.mark.usefixtures("shell")
def test_an_operator_that_is_away_is_named_after_a_second_try(newcomer: Newcomer) -> None:
    newcomer.kubectl("scale", "deployment/dask-operator", "--replicas=0")
    try:
        newcomer.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=dask-operator", "--timeout=120s")
        told = attempt(newcomer, "no-operator", sizes={"start_timeout": 60})
    finally:
        newcomer.kubectl("scale", "deployment/dask-operator", "--replicas=1")
        newcomer.kubectl("rollout", "status", "deployment/dask-operator", "--timeout=180s")
    assert_named(told, Cause.OPERATOR, "does not react", at_once=False)


@contextlib.contextmanager
def definition(newcomer: Newcomer) -> Iterator[dict[str, Any]]:
    """Give the definition of DaskClusters, and put it back as it was, with an operator that has noticed."""
    found: dict[str, Any] = json.loads(newcomer.kubectl("get", "crd", CLUSTERS, "-o", "json"))
    try:
        yield found
    finally:
        kept = {"name": CLUSTERS, **{key: found["metadata"][key] for key in ("labels", "annotations")}}
        whole = json.dumps({**found, "metadata": kept, "status": None})
        newcomer.kubectl("delete", "crd", CLUSTERS, "--ignore-not-found")
        newcomer.kubectl("create", "--filename", "-", given=whole)
        newcomer.kubectl("wait", "--for=condition=Established", f"crd/{CLUSTERS}", "--timeout=60s")
        newcomer.kubectl("rollout", "restart", "deployment/dask-operator")
        newcomer.kubectl("rollout", "status", "deployment/dask-operator", "--timeout=180s")


@pytest.mark.usefixtures("shell")
def test_definitions_that_are_missing_fail_at_once(newcomer: Newcomer) -> None:
    with definition(newcomer):
        newcomer.kubectl("delete", "crd", CLUSTERS)
        [told] = flow_pod.lines(SCRIPT, json.dumps({"flow": "no-definitions"}))
    assert_named(told, Cause.CRDS, "serves no kind DaskCluster", at_once=True)


@pytest.mark.usefixtures("shell")
def test_definitions_that_are_too_old_fail_at_once_with_what_they_lack(newcomer: Newcomer) -> None:
    with definition(newcomer):
        field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/idleTimeout"
        newcomer.kubectl(
            "patch", "crd", CLUSTERS, "--type=json", f"--patch={json.dumps([{'op': 'remove', 'path': field}])}"
        )
        told = attempt(newcomer, "old-definitions")
    assert_named(told, Cause.CRDS, "spec.idleTimeout", at_once=True)
