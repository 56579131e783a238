from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tools.engine.results import State
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.verify import access
from tools.verify.report import Row, Verdict

RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
RULES = [
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["delete"]},
]


def state(**subject: str) -> State:
    metadata = {"name": "dask-reaper", "namespace": "flows"}
    binding = {
        "metadata": metadata,
        "roleRef": {"kind": "Role", "name": "dask-reaper"},
        "subjects": [{"kind": "ServiceAccount", "name": "dask-reaper", "namespace": "flows", **subject}],
    }
    return State(
        resources=(
            {"type": f"{RBAC}:Role", "inputs": {"metadata": metadata, "rules": RULES}},
            {"type": f"{RBAC}:RoleBinding", "inputs": binding},
        )
    )


class Cluster:
    """Answers access reviews."""

    def __init__(self, allowed: Callable[[dict[str, Any]], bool]) -> None:
        self.allowed = allowed
        self.asked: list[dict[str, Any]] = []

    def create(self, _plural: str, item: dict[str, Any], **_: str) -> dict[str, Any]:
        self.asked.append(item["spec"])
        return {"status": {"allowed": self.allowed(item["spec"]["resourceAttributes"])}}


def rows(cluster: Any, declared: State) -> list[Row]:
    return list(access.rows(cast(Kubernetes, cluster), access.grants(declared), stack="prod"))


def test_each_verb_of_each_resource_is_asked_about_for_the_account() -> None:
    cluster = Cluster(lambda _: True)
    [row] = rows(cluster, state())
    assert (row.check, row.verdict) == ("permissions of dask-reaper", Verdict.OK)
    assert row.detail == "all 5 are granted"
    assert {spec["user"] for spec in cluster.asked} == {"system:serviceaccount:flows:dask-reaper"}
    attributes = [spec["resourceAttributes"] for spec in cluster.asked]
    assert {"group": "", "resource": "pods", "subresource": "log", "verb": "get", "namespace": "flows"} in attributes


def test_an_account_of_another_namespace_is_asked_about_where_the_role_is() -> None:
    cluster = Cluster(lambda _: True)
    rows(cluster, state(namespace="platform"))
    assert {spec["user"] for spec in cluster.asked} == {"system:serviceaccount:platform:dask-reaper"}
    assert {spec["resourceAttributes"]["namespace"] for spec in cluster.asked} == {"flows"}


def test_what_is_refused_is_named_with_the_remedy() -> None:
    [row] = rows(Cluster(lambda asked: asked["resource"] != "jobs"), state())
    assert row.verdict is Verdict.FAILED
    assert row.detail == "it may not delete jobs in namespace flows"
    assert "make up STACK=prod" in row.remedy


def test_a_user_who_may_not_ask_gets_an_unknown_row() -> None:
    def refuse(_: object) -> bool:
        raise Problem("Kubernetes refuses POST localsubjectaccessreviews", remedy="r", detail="Forbidden")

    [row] = rows(Cluster(refuse), state())
    assert row.verdict is Verdict.UNKNOWN
    assert "Forbidden" in row.detail
