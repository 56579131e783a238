"""Whether the admission policies of the last update are in force as it declared them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tools.engine.results import State
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.verify.report import Row, failed, ok, unknown, warning

TITLE: Final = "admission policies"

_VERSION: Final = "admissionregistration.k8s.io/v1"
_PLURALS: Final = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_DEFAULTS: Final[Mapping[str, Any]] = {"matchPolicy": "Equivalent", "objectSelector": {}, "scope": "*"}
"""Fields that the API server adds."""


def row(cluster: Kubernetes, state: State, *, stack: str) -> Row:
    """Return the outcome.

    Args:
        cluster: the stack's.
        state: of its last update.
        stack: its name.

    """
    declared = [(kind, each["inputs"]) for kind in _PLURALS for each in state.of_type(f"kubernetes:{_VERSION}:{kind}")]
    if not declared:
        words = "admission is false: a flow can use every account and Secret in the namespace of runs"
        return warning(TITLE, words, "Remove the key from the stack file, on Kubernetes 1.30 or later")
    try:
        problems = list(_problems(cluster, declared))
    except Problem as problem:
        return unknown(TITLE, f"{problem.what}: {problem.detail}", "Let the kubeconfig's user read them")
    if problems:
        return failed(TITLE, "; ".join(problems), f"Delete what was changed; make up STACK={stack} creates it again")
    return ok(TITLE, f"all {len(declared) // len(_PLURALS)} are bound as declared")


def _problems(cluster: Kubernetes, declared: list[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    for kind, inputs in declared:
        name = inputs["metadata"]["name"]
        live = cluster.get(f"{_PLURALS[kind]}/{name}", version=_VERSION)
        if live is None:
            yield f"{kind} {name} does not exist"
        elif _declared(live["spec"]) != _declared(inputs["spec"]):
            yield f"{kind} {name} was changed from outside"


def _declared(part: Any) -> Any:
    """Return a part of a spec without what the API server adds."""
    if isinstance(part, Mapping):
        return {name: _declared(each) for name, each in part.items() if _DEFAULTS.get(name) != each}
    return [_declared(each) for each in part] if isinstance(part, list) else part
