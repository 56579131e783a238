"""What must be true before anything is changed, and what is wrong when something does not work."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from infra.settings import Prebuilt
from tools import registry, stackfile, target, toolchain
from tools.cluster import LocalCluster
from tools.errors import Problem
from tools.progress import say

Check = Callable[[], Sequence[Problem]]


def refuse_bad_start(stack: str, *, local: bool) -> None:
    """Raise the first unmet precondition of `make up`, after telling the others; nothing has been changed then.

    Raises:
        Problem: something is missing or wrong.

    """
    found = [problem for _, check in preconditions(stack, local=local) for problem in check()]
    for problem in found[1:]:
        say(f"error: {problem}")
    if found:
        raise found[0]


def examine(stack: str, *, local: bool) -> int:
    """Print every check with its outcome and return 1 if any failed."""
    checks = [*preconditions(stack, local=local)]
    if local:
        checks.append(("local cluster", _local_processes))
    failed = False
    for title, check in checks:
        problems = check()
        failed = failed or bool(problems)
        print(f"{'no' if problems else 'ok':>4}  {title}")
        for problem in problems:
            print(f"      {problem}")
    return int(failed)


def preconditions(stack: str, *, local: bool) -> list[tuple[str, Check]]:
    """Return what must be true for `make up`: title and check, which changes nothing."""
    checks: list[tuple[str, Check]] = [(f"stack file of '{stack}'", lambda: _stack_file(stack, local=local))]
    if local:
        checks.append(("this machine can run the local cluster", lambda: LocalCluster().preflight()))
        checks.append(("Pulumi and Kubernetes, built or buildable", lambda: toolchain.preflight(_groups())))
    else:
        checks.append(("Pulumi, installed or buildable", lambda: toolchain.preflight(toolchain.PULUMI)))
        checks.append(("cluster of the current context", _existing_cluster))
        checks.append(("registry that images are pushed to", lambda: _registry(stack)))
    return checks


def _groups() -> list[str]:
    return [*toolchain.PULUMI, *LocalCluster().groups]


def _stack_file(stack: str, *, local: bool) -> list[Problem]:
    try:
        content = stackfile.read(stack)
        # On the local cluster the image section is ours; what it will hold is known once the cluster runs.
        image = {"image": {"builder": "docker-build", "registry": "localhost"}}
        stackfile.check(stack, content, image if local else {})
    except Problem as problem:
        return [problem]
    return []


def _registry(stack: str) -> list[Problem]:
    try:
        image = stackfile.check(stack, stackfile.read(stack), {}).image
    except Problem:
        return []  # said by the check of the stack file
    return [] if isinstance(image, Prebuilt) else registry.problems(image.registry)


def _existing_cluster() -> list[Problem]:
    try:
        target.check_answers(dict(os.environ))
    except Problem as problem:
        return [problem]
    return []


def _local_processes() -> list[Problem]:
    states = LocalCluster().status()
    if not any(state.alive for state in states):
        return [Problem("The local cluster is not running", remedy="Start it: make cluster-up (make up does, too)")]
    return [
        Problem(f"{state.name} of the local cluster is dead: {state.detail}", remedy="make cluster-down cluster-up")
        for state in states
        if not state.alive
    ]
