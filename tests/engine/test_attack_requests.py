"""The attacks of tests/e2e/attacks on a real API server, with the token of a pod that does not run.

Where they are refused, and accepted without their defence, little is left to go wrong on a cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from infra import naming
from infra.admission.policies import policies
from infra.components import dask_operator, identity
from infra.components.admission import binding, policy
from infra.components.namespace import flow_run_rules
from tests.e2e.attacks.attack import Target
from tests.e2e.attacks.attacker import NOTICED, Answer, Attacker
from tests.e2e.attacks.table import ATTACKS, OWN, by_defence
from tests.e2e.newcomer import Newcomer
from tests.engine import admission_objects as made
from tests.engine import pods_namespace
from tests.engine.admission_objects import JOB, LIVE
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import NAMESPACE, PLATFORM, create
from tests.support.manifests import Manifest, changed, of_job

ON_KUBERNETES = {name: attack for name, attack in ATTACKS.items() if not attack.defence.variables}
VICTIM = "other-job"

pytestmark = pytest.mark.xdist_group("admission")


@dataclass(frozen=True)
class Administrator:
    """Types kubectl commands, as a newcomer does."""

    kubernetes: Kubernetes

    def kubectl(self, *arguments: str, namespace: str = PLATFORM, stdin: str | None = None) -> str:
        return self.kubernetes.kubectl("--namespace", namespace, *arguments, stdin=json.loads(stdin) if stdin else None)


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Provide a control plane with the Role of flow runs, the admission policies, and objects of two runs."""
    with pods_namespace.running(tmp_path_factory.mktemp("kubernetes"), accounts=["with-cloud"]) as kubernetes:
        pods_namespace.serve_dask(kubernetes)
        kubernetes.kubectl("create", "serviceaccount", naming.OPERATOR, "--namespace", PLATFORM)
        rbac = "rbac.authorization.k8s.io"
        for account, rules, home in (
            (naming.FLOW_RUN, flow_run_rules(tls=True), NAMESPACE),
            (naming.OPERATOR, dask_operator.RULES, PLATFORM),
        ):
            role = {"apiGroup": rbac, "kind": "Role", "name": account}
            subjects = identity.role_subjects(account, home)
            create(kubernetes, "Role", account, f"{rbac}/v1", rules=identity.role_rules(rules))
            create(kubernetes, "RoleBinding", account, f"{rbac}/v1", roleRef=role, subjects=subjects)
        create(kubernetes, "PriorityClass", "batch", "scheduling.k8s.io/v1", value=1)
        for manifest in _objects():
            kubernetes.kubectl("create", "--namespace", NAMESPACE, "-f", "-", stdin=manifest)
        for name, spec in policies(made.settings()).items():
            kubernetes.kubectl("create", "-f", "-", stdin=policy(NAMESPACE, name, spec))
            kubernetes.kubectl("create", "-f", "-", stdin=binding(NAMESPACE, name, spec))
        yield kubernetes


def _objects() -> Iterator[Manifest]:
    for manifest, name in ((made.cluster(), LIVE), (made.default_group(), f"{LIVE}-default")):
        of_victim = of_job(manifest, VICTIM)
        of_victim["metadata"].pop("ownerReferences", None)
        yield changed(of_victim, "metadata.name", name)
    yield made.flow_pod(JOB, made.DEPLOYMENT)
    yield made.flow_pod(VICTIM, made.OTHER_DEPLOYMENT)


@pytest.fixture(scope="module")
def attacker(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Attacker:
    """Provide a process with the token and the environment of a flow pod."""
    account = tmp_path_factory.mktemp("account")
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={JOB}-x1y2z")
    token = kubernetes.kubectl("create", "token", naming.FLOW_RUN, "--namespace", NAMESPACE, *bound)
    (account / "token").write_text(token)
    shutil.copyfile(kubernetes.place.pki / "ca.crt", account / "ca.crt")
    variables = made.environment() | {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(kubernetes.place.ports.api.number),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT__FLOW_RUN_ID": made.RUN.flow_run_id,
    }

    def run(program: str, stdin: str) -> str:
        command = [sys.executable, "-c", program]
        environment = {**os.environ, **variables}
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return Attacker(run, str(account))


@pytest.fixture(scope="module")
def target(attacker: Attacker) -> Target:
    plain, beyond = attacker.clusters()
    return Target(
        cluster=plain,
        raised=beyond,
        pod=f"{JOB}-x1y2z",
        victim=LIVE,
        victim_job=VICTIM,
        victim_pod=f"{VICTIM}-x1y2z",
        deployment="",
    )


def test_each_is_refused_and_accepted_without_its_defence(
    attacker: Attacker, target: Target, kubernetes: Kubernetes
) -> None:
    administrator = cast("Newcomer", Administrator(kubernetes))
    answers = attacker.tries(ON_KUBERNETES, target, accepted=False, seconds=NOTICED)
    wrong = {
        name: answer
        for name, answer in answers.items()
        if answer.status != ON_KUBERNETES[name].status or ON_KUBERNETES[name].words not in answer.message
    }
    assert not wrong
    own = attacker.tries({"own": OWN}, target)
    assert own["own"].accepted, own
    without: dict[str, Answer] = {}
    restored: dict[str, Answer] = {}
    for of_kind, defence in by_defence().values():
        if defence.variables:
            continue
        with defence.off(administrator):
            answers = attacker.tries(of_kind, target, accepted=True, seconds=NOTICED)
        without |= {name: each for name, each in answers.items() if not each.accepted}
        answers = attacker.tries(of_kind, target, accepted=False, seconds=NOTICED)
        restored |= {name: each for name, each in answers.items() if each.accepted}
    assert without == {}
    assert restored == {}
