"""From inside a flow pod to an address outside, on a cluster that enforces NetworkPolicies."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from ephemeral_dask.contract import labels
from tests.e2e.attacks import attacker
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import running
from tests.full import outside
from tools.cluster import Network
from tools.cluster.network import VARIABLE

HTTPS: Final = 443

pytestmark = pytest.mark.takes_down


@pytest.fixture
def enforcing(newcomer: Newcomer) -> Iterator[Newcomer]:
    """Provide the stack on a cluster with Cilium, instead of the one that other tests of this tier share."""
    if newcomer.environment[VARIABLE] == Network.CILIUM:
        yield newcomer
        return
    user = replace(newcomer, environment={**newcomer.environment, VARIABLE: Network.CILIUM})
    _move(newcomer, user)
    yield user
    _move(user, newcomer)


def _move(earlier: Newcomer, later: Newcomer) -> None:
    for user, commands in ((earlier, (("down", "YES=1"), ("cluster-down",))), (later, (("up",),))):
        for command in commands:
            done = user.make(*command)
            assert done.status == 0, done.progress


@contextlib.contextmanager
def opened(newcomer: Newcomer) -> Iterator[None]:
    """Allow flow pods every address: NetworkPolicies add up."""
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "attack"},
        "spec": {
            "podSelector": {"matchLabels": {labels.COMPONENT: labels.FLOW_RUN_POD}},
            "policyTypes": ["Egress"],
            "egress": [{}],
        },
    }
    newcomer.kubectl("create", "-f", "-", stdin=json.dumps(manifest), namespace=RUNS)
    try:
        yield
    finally:
        newcomer.kubectl("delete", "networkpolicy", "attack", namespace=RUNS)


def test_a_flow_pod_reaches_no_address_outside_that_the_stack_does_not_allow(enforcing: Newcomer) -> None:
    """By default it allows the API server and the Prefect server, whose addresses are the cluster's own."""
    run = running(enforcing, "patient/several", "--param", "seconds=600")
    pod = attacker.of_run(enforcing, run)
    with outside.listening(HTTPS):
        assert not pod.connects(outside.ADDRESS, HTTPS)
        with opened(enforcing):
            assert pod.connects(outside.ADDRESS, HTTPS, expected=True, seconds=30), "no policy refuses it"
        assert not pod.connects(outside.ADDRESS, HTTPS, expected=False, seconds=30)
    assert enforcing.shell(f".venv/bin/prefect flow-run cancel {run}").status == 0
