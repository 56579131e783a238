"""The audit log tells who was refused what and which permissions nobody has used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.cluster import audit

WORKER = "system:serviceaccount:flows:worker"


def event(verb: str = "list", resource: str = "pods", **other: Any) -> dict[str, Any]:
    """An event of level Metadata, shortened."""
    about = {"resource": resource, "namespace": "flows", "apiVersion": "v1"} | other.pop("about", {})
    return {
        "kind": "Event",
        "level": "Metadata",
        "verb": verb,
        "user": {"username": WORKER},
        "objectRef": about,
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-01-01T00:00:05.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
        **other,
    }


def written(folder: Path, *events: dict[str, Any]) -> Path:
    log = folder / "audit.log"
    log.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    return log


def role(*rules: dict[str, Any], name: str = "worker") -> dict[str, Any]:
    return {"kind": "Role", "metadata": {"namespace": "flows", "name": name}, "rules": list(rules)}


def binding(role: str = "worker", account: str = "worker", kind: str = "Role") -> dict[str, Any]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "flows"}
    return {
        "kind": "RoleBinding",
        "metadata": {"namespace": "flows", "name": role},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [subject, {"kind": "Group", "name": "people"}],
    }


def rule(*verbs: str, resources: tuple[str, ...] = ("pods",), group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs), **more}


def left(*rules: dict[str, Any], asked: list[dict[str, Any]]) -> list[str]:
    requests = [found for one in asked if (found := audit.parse(one))]
    return [
        f"{one.verb} {one.resource}" for one in audit.unused(audit.permissions([role(*rules)], [binding()]), requests)
    ]


def test_what_rules_do_not_allow_is_refused_and_what_admission_forbids_is_not(tmp_path: Path) -> None:
    forbidden = {"authorization.k8s.io/decision": "forbid"}
    quota = event("create", responseStatus={"code": 403})
    log = written(tmp_path, event(), quota, event("delete", annotations=forbidden, about={"name": "x"}))
    found = audit.refused(audit.requests(log), namespace="flows")
    assert [str(one) for one in found] == [f"{WORKER}: delete pods x in namespace flows"]


def test_refusals_of_others_are_not_those_of_the_namespace(tmp_path: Path) -> None:
    annotations = {"authorization.k8s.io/decision": "forbid"}
    other = {"username": "system:serviceaccount:flows-of-others:worker"}
    log = written(tmp_path, event(annotations=annotations, user=other), event(annotations=annotations))
    assert [one.user for one in audit.refused(audit.requests(log), namespace="flows")] == [WORKER]


def test_every_verb_on_every_resource_of_a_rule_has_to_be_used() -> None:
    given = rule("get", "list", resources=("pods", "pods/log"))
    asked = [event("list"), event("get", about={"subresource": "log", "name": "x"})]
    assert left(given, asked=asked) == ["get pods", "list pods/log"]
    assert left(given, asked=[]) == ["get pods", "list pods", "get pods/log", "list pods/log"]


def test_a_group_of_the_same_resource_name_is_another_permission() -> None:
    given = rule("list", resources=("daskclusters",), group="kubernetes.dask.org")
    assert left(given, asked=[event("list", "daskclusters")]) == ["list daskclusters"]
    assert left(given, asked=[event("list", "daskclusters", about={"apiGroup": "kubernetes.dask.org"})]) == []


def test_a_rule_for_one_object_is_used_by_requests_for_that_object() -> None:
    given = rule("get", resources=("secrets",), resourceNames=["key"])
    assert left(given, asked=[event("get", "secrets", about={"name": "other"})]) == ["get secrets"]
    assert left(given, asked=[event("get", "secrets", about={"name": "key"})]) == []


def test_a_refused_request_and_one_elsewhere_use_nothing() -> None:
    refused = event(annotations={"authorization.k8s.io/decision": "forbid"})
    elsewhere = event(about={"namespace": "default"})
    somebody = event(user={"username": "system:serviceaccount:flows:operator"})
    assert left(rule("list"), asked=[refused, elsewhere, somebody]) == ["list pods"]


def test_a_rule_for_everything_is_used_by_anything() -> None:
    assert left(rule("*", resources=("*",), group="*"), asked=[event()]) == []


def test_only_roles_that_are_bound_to_service_accounts_count() -> None:
    cluster_role = binding(role="worker", kind="ClusterRole")
    assert audit.permissions([role(rule("list"))], [cluster_role]) == set()
    assert audit.permissions([role(rule("list"))], []) == set()
    [found] = audit.permissions([role(rule("list"))], [binding()])
    assert str(found) == f"list pods (Role worker, for {WORKER})"


def test_a_rotated_log_is_read_as_one_in_order_and_a_half_written_line_is_passed_over(tmp_path: Path) -> None:
    log = written(tmp_path, event("watch"))
    (tmp_path / "audit-2026-01-01T00-00-09.000.log").write_text(json.dumps(event("get")) + "\n")
    (tmp_path / "audit-2026-01-01T00-00-02.000.log").write_text(json.dumps(event("list")) + "\n")
    with log.open("a") as file:
        file.write(json.dumps(event("delete"))[:40])
    assert [one.verb for one in audit.requests(log)] == ["list", "get", "watch"]


def test_what_came_in_before_and_what_is_about_no_resource_is_left_out(tmp_path: Path) -> None:
    late = event("get", requestReceivedTimestamp="2026-01-01T00:00:09.000000Z")
    nothing = event()
    del nothing["objectRef"]
    log = written(tmp_path, event("list"), nothing, late)
    assert [one.verb for one in audit.requests(log, since="2026-01-01T00:00:06Z")] == ["get"]
    assert list(audit.requests(tmp_path / "none.log")) == []


def test_a_request_whose_credential_was_refused_is_nobodys(tmp_path: Path) -> None:
    [found] = audit.requests(written(tmp_path, event(user={})))
    assert found.user == ""
