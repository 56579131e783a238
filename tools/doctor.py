"""What must be true before anything is changed, and what is wrong when something does not work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from infra.settings import Prebuilt, Settings
from tools import checkup, compatibility, kubeconfig, registry, stackfile, target, toolchain
from tools.cluster import LocalCluster
from tools.errors import Problem
from tools.paths import ROOT
from tools.progress import say
from tools.stack import Stack
from tools.target import LOCAL

Check = Callable[[], Sequence[Problem]]


def refuse_bad_start(stack: str, *, local: bool) -> None:
    """Raise the first unmet precondition of `make up`, after printing the others; nothing has been changed then.

    Raises:
        Problem: something is missing or wrong.

    """
    problems = [problem for _, check in preconditions(stack, local=local) for problem in check()]
    for problem in problems[1:]:
        say(f"error: {problem}")
    if problems:
        raise problems[0]


def report(stack: str, *, cluster: str) -> int:
    """Print every check with its outcome and return 1 if one failed."""
    local = cluster == LOCAL
    checks = [*preconditions(stack, local=local)]
    if local:
        checks.append(("local cluster", _local_processes))
    if not _print_all(checks):
        return 1
    try:
        content = stackfile.read(stack)
        place = target.local(start=False) if local else target.existing(kubeconfig.choice(stack, content))
        settings = stackfile.check(stack, content, place.overrides)
        tested = _print("packages of the flow images are tested", lambda: _untested(settings))
        return int(not (_report_stack(Stack(stack, place), settings) and tested))
    except Problem as problem:
        print(f"  no  stack '{stack}'\n      {problem}")
        return 1


def _report_stack(stack: Stack, settings: Settings) -> bool:
    outputs = stack.outputs() if stack.exists() else {}
    if not outputs:
        print(f"   -  stack '{stack.name}' is not up; bring it up: make up STACK={stack.name}")
        return True
    plan = stackfile.load_plan(stack.name, settings)
    return _print_all(checkup.checks(stack, settings, plan, outputs))


def _print_all(checks: Iterable[tuple[str, Check]]) -> bool:
    """Make every check, also after one that failed, and tell whether all passed."""
    outcomes = [_print(title, check) for title, check in checks]
    return all(outcomes)


def _print(title: str, check: Check) -> bool:
    try:
        problems = check()
    except Problem as error:
        problems = [error]
    print(f"{'no' if problems else 'ok':>4}  {title}")
    for problem in problems:
        print(f"      {problem}")
    return not problems


def preconditions(stack: str, *, local: bool) -> list[tuple[str, Check]]:
    """Return what must be true for `make up`: title and check, which changes nothing."""
    checks: list[tuple[str, Check]] = [
        (f"stack file of '{stack}' and prefect.yaml", lambda: _files(stack, local=local)),
        ("packages of the images fit each other", lambda: _packages(stack, local=local)),
    ]
    if local:
        checks.append(("this machine can run the local cluster", lambda: LocalCluster().preflight()))
        checks.append(("Pulumi and Kubernetes, built or buildable", lambda: toolchain.preflight(_groups())))
    else:
        checks.append(("Pulumi, installed or buildable", lambda: toolchain.preflight(toolchain.PULUMI)))
        checks.append(("cluster of the stack", lambda: _existing_cluster(stack)))
        checks.append(("registry that images are pushed to", lambda: _registry(stack)))
    return checks


def _groups() -> list[str]:
    return [*toolchain.PULUMI, *LocalCluster().groups]


def _files(stack: str, *, local: bool) -> list[Problem]:
    try:
        stackfile.load_plan(stack, _settings(stack, local=local))
    except Problem as problem:
        return [problem]
    return []


def _settings(stack: str, *, local: bool) -> Settings:
    # The local cluster replaces the image section; its values are known once the cluster runs.
    image = {"image": {"builder": "docker-build", "registry": "localhost"}}
    return stackfile.check(stack, stackfile.read(stack), image if local else {})


def _packages(stack: str, *, local: bool) -> list[Problem]:
    try:
        settings = _settings(stack, local=local)
    except Problem:
        return []  # reported by the check of the stack file
    return list(compatibility.unfit(compatibility.read(settings, ROOT)))


def _untested(settings: Settings) -> list[Problem]:
    return list(compatibility.untested(compatibility.read(settings, ROOT)))


def _registry(stack: str) -> list[Problem]:
    try:
        image = _settings(stack, local=False).image
    except Problem:
        return []  # reported by the check of the stack file
    return [] if isinstance(image, Prebuilt) else registry.problems(image.registry)


def _existing_cluster(stack: str) -> list[Problem]:
    try:
        choice = kubeconfig.choice(stack, stackfile.read(stack))
        target.check_answers({**os.environ, **kubeconfig.variables(choice, os.environ)})
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
