"""Who makes a request, as CEL expressions: accounts of the stack, and the run whose pod it is."""

from __future__ import annotations

from typing import Any, Final

from infra import naming
from infra.admission.names import literal
from infra.settings import InstallOperator, Settings

_POD: Final = "authentication.kubernetes.io/pod-name"
"""The pod that an account's token was made for, which the API server adds to a request's user."""

JOB_OF_RUN: Final = {
    "pod": f"request.userInfo.?extra[?{literal(_POD)}].orValue([''])[0]",
    # Kubernetes names a Job's pod after the Job, of which it keeps 58 characters, with 5 random ones.
    "job": "variables.pod.size() > 5 ? variables.pod.substring(0, variables.pod.size() - 5) : ''",
}
"""The CEL variables that `is_job_of_run` reads."""


def is_job_of_run(name: str) -> str:
    """Return the expression for: a Job of that name made the pod that makes the request."""
    return f"variables.job == ({name}.size() > 57 ? {name}.substring(0, 58) : {name} + '-')"


def is_run(settings: Settings) -> str:
    """Return the expression for: a pod of a run makes the request."""
    return f"{literal(f'system:serviceaccounts:{settings.namespaces.runs}')} in request.userInfo.groups"


def is_worker(settings: Settings) -> str:
    """Return the expression for: the Prefect worker makes the request."""
    return f"request.userInfo.username == {literal(_account(settings.namespaces.platform, naming.WORKER))}"


def is_operator(settings: Settings) -> str:
    """Return the expression for: the Dask operator makes the request."""
    operator = settings.dask.operator
    if isinstance(operator, InstallOperator):
        return f"request.userInfo.username == {literal(_account(settings.namespaces.platform, naming.OPERATOR))}"
    # The account of an operator that others run is not known, but its namespace is.
    return f"{literal(f'system:serviceaccounts:{operator.namespace}')} in request.userInfo.groups"


def is_platform(settings: Settings) -> str:
    """Return the expression for: an account of the stack makes the request."""
    accounts = [_account(settings.namespaces.platform, name) for name in (naming.SERVER, naming.REAPER)]
    others = f"request.userInfo.username in {literal(accounts)}"
    return f"({' || '.join([is_worker(settings), is_operator(settings), others, is_run(settings)])})"


def platform(settings: Settings) -> dict[str, Any]:
    """Return the match condition for requests of the stack's accounts."""
    return {"name": "accounts-of-the-stack", "expression": is_platform(settings)}


def run(settings: Settings) -> dict[str, Any]:
    """Return the match condition for requests of runs."""
    return {"name": "accounts-of-runs", "expression": is_run(settings)}


def _account(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"
