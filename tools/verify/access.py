"""Whether the stack's ServiceAccounts have the permissions that its last update declared, as the API server sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.engine.results import State
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.verify.report import Row, failed, ok, unknown

_RBAC: Final = "kubernetes:rbac.authorization.k8s.io/v1"
_REVIEWS: Final = "authorization.k8s.io/v1"

Rule = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What an account may do in a namespace.

    Attributes:
        account: name of the ServiceAccount.
        home: its namespace.
        namespace: where the rules apply.
        rules: as a Role has them.

    """

    account: str
    home: str
    namespace: str
    rules: Sequence[Rule]


def grants(state: State) -> list[Grant]:
    """Return what the Roles and bindings of a stack's state grant."""
    roles = {_key(role["inputs"]["metadata"]): role["inputs"]["rules"] for role in state.of_type(f"{_RBAC}:Role")}
    return [
        Grant(
            account=subject["name"],
            home=subject.get("namespace", namespace),
            namespace=namespace,
            rules=roles[namespace, binding["roleRef"]["name"]],
        )
        for binding in (each["inputs"] for each in state.of_type(f"{_RBAC}:RoleBinding"))
        for namespace in [binding["metadata"]["namespace"]]
        if (namespace, binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]
        if subject["kind"] == "ServiceAccount"
    ]


def rows(cluster: Kubernetes, declared: Sequence[Grant], *, stack: str) -> Iterator[Row]:
    """Yield a row for each account.

    A LocalSubjectAccessReview asks about another account without acting as it. The `admin` role of a namespace allows
    to create one.

    Args:
        cluster: the stack's.
        declared: what its accounts may do.
        stack: its name.

    """
    by_account: defaultdict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in declared:
        by_account[grant.home, grant.account].append(grant)
    for (_, account), own in by_account.items():
        title = f"permissions of {account}"
        try:
            answers = [answer for grant in own for answer in _answers(cluster, grant)]
        except Problem as problem:
            yield unknown(
                title, f"{problem.what}: {problem.detail}", "Give the kubeconfig's user the ClusterRole `admin` there"
            )
            return
        if refused := [words for words, allowed in answers if not allowed]:
            remedy = f"make up STACK={stack} restores the Role and its binding"
            yield failed(title, f"it may not {', '.join(refused)}", remedy)
        else:
            yield ok(title, f"all {len(answers)} are granted")


def _answers(cluster: Kubernetes, grant: Grant) -> Iterator[tuple[str, bool]]:
    for words, attributes in (request for rule in grant.rules for request in _requests(rule)):
        review = {
            "apiVersion": _REVIEWS,
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": grant.namespace},
            "spec": {
                "user": f"system:serviceaccount:{grant.home}:{grant.account}",
                "groups": ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{grant.home}"],
                "resourceAttributes": {**attributes, "namespace": grant.namespace},
            },
        }
        answer = cluster.create("localsubjectaccessreviews", review, version=_REVIEWS, namespace=grant.namespace)
        yield f"{words} in namespace {grant.namespace}", bool(answer.get("status", {}).get("allowed"))


def _requests(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each permission of a rule, in words and as Kubernetes asks for it."""
    for group in rule["apiGroups"]:
        for name in rule["resources"]:
            for verb in rule["verbs"]:
                resource, _, part = name.partition("/")
                attributes = {"group": group, "resource": resource, "verb": verb}
                yield f"{verb} {name}", {**attributes, **({"subresource": part} if part else {})}


def _key(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return str(metadata["namespace"]), str(metadata["name"])
