"""Reading the API server's audit log: who was refused what, and which permissions nobody has made use of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANY = "*"
"""What a rule writes for every group, resource or verb."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of somebody for something, as the API server logged it.

    Attributes:
        user: `system:serviceaccount:<namespace>:<name>` for a pod.
        verb: as rules name it: `list` and not GET.
        group: the API group, empty for the core group.
        resource: with its subresource, if there is one: `pods/log`.
        namespace: empty for what is in none, and for a question about all.
        name: of the object; empty for a list and for a create.
        refused: whether no rule allowed it. What admission refuses (a quota, Pod Security) is allowed by rules.
        at: when it came in; RFC 3339, UTC.

    """

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    refused: bool
    at: str

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        return f"{self.user}: {self.verb} {what} {self.name}".rstrip() + f" in {where}"


@dataclass(frozen=True, kw_only=True, order=True)
class Permission:
    """One verb on one resource for one user: a rule of a Role, taken apart.

    Attributes:
        user: as in Request.
        role: the Role that has the rule.
        namespace: the Role's.
        group: as in Request, or ANY.
        resource: as in Request, or ANY.
        verb: as in Request, or ANY.
        name: the only object it is for; empty for every object.

    """

    user: str
    role: str
    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, request: Request) -> bool:
        """Whether a request made use of it."""
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
    """List the files of a log that is rotated, the oldest first."""
    rotated = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
    return [*rotated, *([log] if log.exists() else ())]


def requests(log: Path, *, since: str = "") -> Iterator[Request]:
    """Yield every request of a log, in order; one that takes long (a watch) twice: when it begins and when it ends.

    Args:
        log: the newest file; its rotated predecessors lie beside it.
        since: leave out what came in before (RFC 3339, UTC).

    """
    for file in files(log):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                # The last line may be in the middle of being written.
                if line.endswith("\n") and (found := parse(json.loads(line))) and found.at >= since:
                    yield found


def parse(event: Mapping[str, Any]) -> Request | None:
    """Read an event; None for one that is about no resource (`/version`)."""
    about = event.get("objectRef")
    if not about or "resource" not in about:
        return None
    sub = about.get("subresource")
    return Request(
        # Nobody, where the credential was refused.
        user=event["user"].get("username", ""),
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=f"{about['resource']}/{sub}" if sub else about["resource"],
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        # An answer of 403 would not tell it from what admission refuses.
        refused=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
        at=event["requestReceivedTimestamp"],
    )


def account(namespace: str, name: str) -> str:
    """Return the user that a ServiceAccount is."""
    return f"system:serviceaccount:{namespace}:{name}"


def refused(asked: Iterable[Request], *, namespace: str) -> list[Request]:
    """Pick what authorization refused to the ServiceAccounts of a namespace."""
    return [one for one in asked if one.refused and one.user.startswith(account(namespace, ""))]


def permissions(roles: Iterable[Mapping[str, Any]], bindings: Iterable[Mapping[str, Any]]) -> set[Permission]:
    """Take apart what Roles give to ServiceAccounts by RoleBindings, of one namespace or of several.

    Args:
        roles: Role objects.
        bindings: RoleBinding objects; those of a ClusterRole or to others than ServiceAccounts are passed over.

    """
    by_name = {(role["metadata"]["namespace"], role["metadata"]["name"]): role for role in roles}
    found: set[Permission] = set()
    for binding in bindings:
        namespace = binding["metadata"]["namespace"]
        role = by_name.get((namespace, binding["roleRef"]["name"]))
        if role is None or binding["roleRef"]["kind"] != "Role":
            continue
        for subject in binding.get("subjects") or ():
            if subject["kind"] == "ServiceAccount":
                user = account(subject.get("namespace") or namespace, subject["name"])
                found |= {one for rule in role.get("rules") or () for one in _apart(rule, role, user)}
    return found


def _apart(rule: Mapping[str, Any], role: Mapping[str, Any], user: str) -> Iterator[Permission]:
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


def unused(given: Iterable[Permission], asked: Iterable[Request]) -> list[Permission]:
    """Pick the permissions that no request made use of, in order.

    A server-side apply of something that is not there yet is logged as the `patch` that it is, though it needs
    `create` as well: such a `create` shows as unused.
    """
    left = set(given)
    for request in asked:
        if not request.refused:
            left -= {one for one in left if one.covers(request)}
    return sorted(left)
