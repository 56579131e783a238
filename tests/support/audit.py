"""Reading the API server's audit log: refused requests, and permissions that no request used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANY = "*"
"""The value of a rule for every API group, resource or verb."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, as the API server logged it.

    Attributes:
        user: `system:serviceaccount:<namespace>:<name>` for a pod; empty where the credential was refused.
        verb: the verb as in RBAC rules: `list`, not GET.
        group: the API group; empty for the core group.
        resource: the resource with its subresource, if any: `pods/log`.
        namespace: the namespace; empty for a cluster-scoped resource and for a request across all namespaces.
        name: the object's name; empty for a list and for a create.
        refused: whether no RBAC rule allowed it. A request that admission refuses (a quota, Pod Security) was allowed.
        at: when the API server received it (RFC 3339, UTC).
        agent: the user agent.

    """

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    refused: bool
    at: str
    agent: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        return f"{self.user}: {self.verb} {what} {self.name}".rstrip() + f" in {where}"


@dataclass(frozen=True, kw_only=True, order=True)
class Permission:
    """One verb on one resource for one user: a part of a rule of a Role.

    Attributes:
        user: as in Request.
        role: the Role that has the rule.
        namespace: the namespace of the Role.
        group: as in Request, or ANY.
        resource: as in Request, or ANY.
        verb: as in Request, or ANY.
        name: the only object that it permits; empty for every object.

    """

    user: str
    role: str
    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, request: Request) -> bool:
        """Return whether a request used this permission."""
        return (
            self.user == request.user
            and self.namespace == request.namespace
            and self.group in (ANY, request.group)
            and self.resource in (ANY, request.resource)
            and self.verb in (ANY, request.verb)
            and self.name in ("", request.name)
        )

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what} {self.name}".rstrip() + f" (Role {self.role}, for {self.user})"


def files(log: Path) -> list[Path]:
    """Return the files of a rotated log, the oldest first."""
    rotated = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
    return [*rotated, *([log] if log.exists() else ())]


def requests(log: Path, *, since: str = "") -> Iterator[Request]:
    """Yield every request of a log in order. A long one (a watch) appears twice: at its start and at its end.

    Args:
        log: the newest file; the rotated ones are beside it.
        since: skip requests that were received earlier (RFC 3339, UTC).

    """
    for file in files(log):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                # The API server may not have finished the last line.
                if line.endswith("\n") and (request := parse(json.loads(line))) and request.at >= since:
                    yield request


def parse(event: Mapping[str, Any]) -> Request | None:
    """Return the request of an event; None for one without a resource (`/version`)."""
    about = event.get("objectRef")
    if not about or "resource" not in about:
        return None
    sub = about.get("subresource")
    return Request(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=f"{about['resource']}/{sub}" if sub else about["resource"],
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        # The status 403 would not distinguish it from a refusal by admission.
        refused=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
        at=event["requestReceivedTimestamp"],
        agent=event.get("userAgent", ""),
    )


def account(namespace: str, name: str) -> str:
    """Return the user name of a ServiceAccount."""
    return f"system:serviceaccount:{namespace}:{name}"


def refused(requests: Iterable[Request], *, namespace: str) -> list[Request]:
    """Return the requests by ServiceAccounts of a namespace that authorization refused."""
    return [one for one in requests if one.refused and one.user.startswith(account(namespace, ""))]


def permissions(roles: Iterable[Mapping[str, Any]], bindings: Iterable[Mapping[str, Any]]) -> set[Permission]:
    """Return the permissions that Roles grant to ServiceAccounts by RoleBindings, in one or several namespaces.

    Args:
        roles: Role objects.
        bindings: RoleBinding objects; bindings of a ClusterRole and subjects other than ServiceAccounts are ignored.

    """
    by_name = {(role["metadata"]["namespace"], role["metadata"]["name"]): role for role in roles}
    granted: set[Permission] = set()
    for binding in bindings:
        namespace = binding["metadata"]["namespace"]
        role = by_name.get((namespace, binding["roleRef"]["name"]))
        if role is None or binding["roleRef"]["kind"] != "Role":
            continue
        for subject in binding.get("subjects") or ():
            if subject["kind"] == "ServiceAccount":
                user = account(subject.get("namespace") or namespace, subject["name"])
                granted |= {one for rule in role.get("rules") or () for one in _split(rule, role, user)}
    return granted


def _split(rule: Mapping[str, Any], role: Mapping[str, Any], user: str) -> Iterator[Permission]:
    for group in rule.get("apiGroups") or ("",):
        for resource in rule.get("resources") or ():
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or ("",):
                    yield Permission(
                        user=user,
                        role=role["metadata"]["name"],
                        namespace=role["metadata"]["namespace"],
                        group=group,
                        resource=resource,
                        verb=verb,
                        name=name,
                    )


def unused(permissions: Iterable[Permission], requests: Iterable[Request]) -> list[Permission]:
    """Return the permissions that no request used, in order.

    A server-side apply that creates its object needs `create` but is logged as `patch`, so that `create` counts as
    unused.
    """
    remaining = set(permissions)
    for request in requests:
        if not request.refused:
            remaining -= {one for one in remaining if one.covers(request)}
    return sorted(remaining)
