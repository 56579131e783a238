"""Refused requests and unused permissions are read from the API server's audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import audit

WORKER = "system:serviceaccount:flows:worker"


def event(verb: str = "list", resource: str = "pods", **other: Any) -> dict[str, Any]:
    """Return an event of level Metadata, shortened."""
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


def unused(*rules: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """Return the permissions of rules that events leave unused, as `<verb> <resource>`."""
    requests = [request for one in events if (request := audit.parse(one))]
    return [
        f"{one.verb} {one.resource}" for one in audit.unused(audit.permissions([role(*rules)], [binding()]), requests)
    ]


def test_a_request_counts_as_refused_by_rbac_and_not_by_admission(tmp_path: Path) -> None:
    forbidden = {"authorization.k8s.io/decision": "forbid"}
    quota = event("create", responseStatus={"code": 403})
    log = written(tmp_path, event(), quota, event("delete", annotations=forbidden, about={"name": "x"}))
    refused = audit.refused(audit.requests(log), namespace="flows")
    assert [str(one) for one in refused] == [f"{WORKER}: delete pods x in namespace flows"]


def test_only_refusals_of_the_namespaces_own_accounts_are_returned(tmp_path: Path) -> None:
    annotations = {"authorization.k8s.io/decision": "forbid"}
    other = {"username": "system:serviceaccount:flows-of-others:worker"}
    log = written(tmp_path, event(annotations=annotations, user=other), event(annotations=annotations))
    assert [one.user for one in audit.refused(audit.requests(log), namespace="flows")] == [WORKER]


def test_the_program_that_made_a_request_is_its_user_agent(tmp_path: Path) -> None:
    log = written(tmp_path, event(userAgent="attack"), event())
    assert [one.agent for one in audit.requests(log)] == ["attack", ""]


def test_each_verb_on_each_resource_of_a_rule_is_a_permission_of_its_own() -> None:
    granted = rule("get", "list", resources=("pods", "pods/log"))
    events = [event("list"), event("get", about={"subresource": "log", "name": "x"})]
    assert unused(granted, events=events) == ["get pods", "list pods/log"]
    assert unused(granted, events=[]) == ["get pods", "list pods", "get pods/log", "list pods/log"]


def test_a_request_for_the_same_resource_in_another_api_group_does_not_use_a_permission() -> None:
    granted = rule("list", resources=("daskclusters",), group="kubernetes.dask.org")
    assert unused(granted, events=[event("list", "daskclusters")]) == ["list daskclusters"]
    assert unused(granted, events=[event("list", "daskclusters", about={"apiGroup": "kubernetes.dask.org"})]) == []


def test_a_permission_for_one_object_is_used_only_by_requests_for_that_object() -> None:
    granted = rule("get", resources=("secrets",), resourceNames=["key"])
    assert unused(granted, events=[event("get", "secrets", about={"name": "other"})]) == ["get secrets"]
    assert unused(granted, events=[event("get", "secrets", about={"name": "key"})]) == []


def test_refused_requests_and_those_of_another_namespace_or_user_use_no_permission() -> None:
    refused = event(annotations={"authorization.k8s.io/decision": "forbid"})
    elsewhere = event(about={"namespace": "default"})
    other_user = event(user={"username": "system:serviceaccount:flows:operator"})
    assert unused(rule("list"), events=[refused, elsewhere, other_user]) == ["list pods"]


def test_any_request_uses_a_wildcard_permission() -> None:
    assert unused(rule("*", resources=("*",), group="*"), events=[event()]) == []


def test_permissions_come_from_roles_that_are_bound_to_service_accounts() -> None:
    cluster_role = binding(role="worker", kind="ClusterRole")
    assert audit.permissions([role(rule("list"))], [cluster_role]) == set()
    assert audit.permissions([role(rule("list"))], []) == set()
    [permission] = audit.permissions([role(rule("list"))], [binding()])
    assert str(permission) == f"list pods (Role worker, for {WORKER})"


def test_rotated_logs_are_read_in_order_and_an_unfinished_line_is_skipped(tmp_path: Path) -> None:
    log = written(tmp_path, event("watch"))
    (tmp_path / "audit-2026-01-01T00-00-09.000.log").write_text(json.dumps(event("get")) + "\n")
    (tmp_path / "audit-2026-01-01T00-00-02.000.log").write_text(json.dumps(event("list")) + "\n")
    with log.open("a") as file:
        file.write(json.dumps(event("delete"))[:40])
    assert [one.verb for one in audit.requests(log)] == ["list", "get", "watch"]


def test_earlier_requests_and_events_without_a_resource_are_skipped(tmp_path: Path) -> None:
    late = event("get", requestReceivedTimestamp="2026-01-01T00:00:09.000000Z")
    nothing = event()
    del nothing["objectRef"]
    log = written(tmp_path, event("list"), nothing, late)
    assert [one.verb for one in audit.requests(log, since="2026-01-01T00:00:06Z")] == ["get"]
    assert list(audit.requests(tmp_path / "none.log")) == []


def test_a_request_with_a_refused_credential_has_no_user(tmp_path: Path) -> None:
    [request] = audit.requests(written(tmp_path, event(user={})))
    assert request.user == ""
