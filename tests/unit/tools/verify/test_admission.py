from __future__ import annotations

import copy
from typing import Any, cast

from infra import validation
from infra.admission.policies import policies
from infra.components.admission import binding, policy
from tools.engine.results import State
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.verify import admission
from tools.verify.report import Row, Verdict

TYPE = "kubernetes:admissionregistration.k8s.io/v1"
SETTINGS = validation.load_settings({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")
DECLARED = [
    manifest
    for name, spec in policies(SETTINGS).items()
    for manifest in (policy("flows-runs", name, spec), binding("flows-runs", name, spec))
]
STATE = State(resources=tuple({"type": f"{TYPE}:{each['kind']}", "inputs": each} for each in DECLARED))


class Cluster:
    """Has objects as an API server returns them."""

    def __init__(self, manifests: list[dict[str, Any]]) -> None:
        plurals = {
            "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
            "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
        }
        objects = copy.deepcopy(manifests)
        self.objects = {f"{plurals[each['kind']]}/{each['metadata']['name']}": each for each in objects}
        for each in self.objects.values():
            if constraints := each["spec"].get("matchConstraints"):
                constraints |= {"matchPolicy": "Equivalent", "objectSelector": {}}
                for rule in constraints["resourceRules"]:
                    rule["scope"] = "*"

    def get(self, url: str, **_: str) -> dict[str, Any] | None:
        return self.objects.get(url)


def row(cluster: Any, state: State = STATE) -> Row:
    return admission.row(cast(Kubernetes, cluster), state, stack="prod")


def test_policies_that_are_as_declared_pass() -> None:
    outcome = row(Cluster(DECLARED))
    assert (outcome.verdict, outcome.detail) == (Verdict.OK, f"all {len(DECLARED) // 2} are bound as declared")


def test_a_binding_that_was_deleted_is_named_with_the_remedy() -> None:
    bound = binding("flows-runs", "runs", policies(SETTINGS)["runs"])
    gone = [each for each in DECLARED if each != bound]
    outcome = row(Cluster(gone))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.detail == "ValidatingAdmissionPolicyBinding ephemeral-dask-flows-runs-runs does not exist"
    assert "make up STACK=prod" in outcome.remedy


def test_an_exception_that_was_added_from_outside_is_named() -> None:
    cluster = Cluster(DECLARED)
    spec = cluster.objects["validatingadmissionpolicies/ephemeral-dask-flows-runs-runs"]["spec"]
    spec["matchConstraints"]["excludeResourceRules"] = [{"resources": ["daskclusters"]}]
    bound = cluster.objects["validatingadmissionpolicybindings/ephemeral-dask-flows-runs-services"]["spec"]
    bound["validationActions"] = ["Audit"]
    assert row(cluster).detail.split("; ") == [
        "ValidatingAdmissionPolicy ephemeral-dask-flows-runs-runs was changed from outside",
        "ValidatingAdmissionPolicyBinding ephemeral-dask-flows-runs-services was changed from outside",
    ]


def test_a_stack_without_policies_is_a_warning() -> None:
    assert row(Cluster([]), State(resources=())).verdict is Verdict.WARNING


def test_a_user_who_may_not_read_them_gets_an_unknown_row() -> None:
    class Refusing:
        def get(self, _url: str, **_: str) -> None:
            raise Problem("Kubernetes refuses GET", remedy="r", detail="Forbidden")

    assert row(Refusing()).verdict is Verdict.UNKNOWN
