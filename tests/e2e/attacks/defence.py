"""What stands between a flow pod and the platform, and how a test takes it away for a while."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from infra import naming
from infra.components.admission import object_name
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ask, changed_work_pool

RUN_NAME: Final = "attack"
"""Of flow runs that an attack creates."""

_RBAC: Final = "rbac.authorization.k8s.io"
_NAME: Final = "attack"


@dataclass(frozen=True, kw_only=True)
class Right:
    """A right that the account of flow runs does not have.

    Attributes:
        namespace: where; empty for the whole cluster.
        group: of the Kubernetes API; empty for the core.
        resource: plural, with its subresource if there is one.
        verb: as in a Role.

    """

    namespace: str
    resource: str
    verb: str
    group: str = ""


@dataclass(frozen=True)
class Defence:
    """What refuses an attack.

    Attributes:
        policies: admission policies, without the stack's part of their names.
        rights: those that are missing.
        variables: job variables that the work pool's schema checks.

    """

    policies: frozenset[str] = frozenset()
    rights: frozenset[Right] = frozenset()
    variables: frozenset[str] = frozenset()

    def __or__(self, other: Defence) -> Defence:
        """Return both."""
        return Defence(self.policies | other.policies, self.rights | other.rights, self.variables | other.variables)

    def __str__(self) -> str:
        """Return its kind: attacks of one kind share the time without their defence."""
        kinds = [f"policy {name}" for name in sorted(self.policies)]
        kinds += ["RBAC"] if self.rights else []
        kinds += ["schema of the work pool"] if self.variables else []
        return ", ".join(kinds)

    @contextlib.contextmanager
    def off(self, newcomer: Newcomer) -> Iterator[None]:
        """Take it away. The API server notices this, and the end of it, a moment later."""
        with contextlib.ExitStack() as stack:
            for name in sorted(self.policies):
                stack.enter_context(_only_audited(newcomer, name))
            for namespace in sorted({each.namespace for each in self.rights}):
                rights = [each for each in self.rights if each.namespace == namespace]
                stack.enter_context(_granted(newcomer, namespace, rights))
            if self.variables:
                stack.enter_context(_unchecked(newcomer, self.variables))
            yield


def policies(*names: str) -> Defence:
    """Return admission policies that refuse an attack, each by itself."""
    return Defence(policies=frozenset(names))


def right(verb: str, resource: str, *, namespace: str = "", group: str = "") -> Defence:
    """Return a right that an attack lacks."""
    return Defence(rights=frozenset([Right(namespace=namespace, group=group, resource=resource, verb=verb)]))


def variable(name: str) -> Defence:
    """Return the check of a job variable."""
    return Defence(variables=frozenset([name]))


@contextlib.contextmanager
def _only_audited(newcomer: Newcomer, policy: str) -> Iterator[None]:
    """Let a policy write its refusals to the audit log, and refuse nothing."""

    def patch(action: str) -> None:
        content = json.dumps({"spec": {"validationActions": [action]}})
        name = object_name(RUNS, policy)
        newcomer.kubectl(
            "patch", "validatingadmissionpolicybinding", name, "--type=merge", f"--patch={content}", namespace=RUNS
        )

    patch("Audit")
    try:
        yield
    finally:
        patch("Deny")


@contextlib.contextmanager
def _granted(newcomer: Newcomer, namespace: str, rights: Iterable[Right]) -> Iterator[None]:
    """Give the account of flow runs rights in a namespace, or in the whole cluster, beside those of its own Role."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": _NAME}
    rules = [{"apiGroups": [each.group], "resources": [each.resource], "verbs": [each.verb]} for each in rights]
    subject = {"kind": "ServiceAccount", "namespace": RUNS, "name": naming.FLOW_RUN}
    bound = {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": _NAME}, "subjects": [subject]}
    objects = [
        {"apiVersion": f"{_RBAC}/v1", "metadata": metadata, "kind": kind, "rules": rules},
        {"apiVersion": f"{_RBAC}/v1", "metadata": metadata, "kind": f"{kind}Binding", **bound},
    ]
    where = namespace or RUNS
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    try:
        newcomer.kubectl("create", "--filename", "-", stdin=content, namespace=where)
        yield
    finally:
        newcomer.kubectl("delete", f"{kind},{kind}Binding", _NAME, "--ignore-not-found", namespace=where)


@contextlib.contextmanager
def _unchecked(newcomer: Newcomer, variables: frozenset[str]) -> Iterator[None]:
    """Take the schema of job variables out of the work pool, and delete the runs that this lets in."""

    def change(template: dict[str, Any]) -> None:
        properties = template["variables"]["properties"]
        for name in variables:
            properties[name] = {key: properties[name][key] for key in ("title", "default") if key in properties[name]}

    try:
        with changed_work_pool(newcomer, change):
            yield
    finally:
        only = f"flow_run_filter=filters.FlowRunFilter(name={{'any_': ['{RUN_NAME}']}})"
        ask(newcomer, f"[await client.delete_flow_run(one.id) for one in await client.read_flow_runs({only})]")
