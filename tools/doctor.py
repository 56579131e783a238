"""What must be true before anything is changed, and what is wrong when something does not work."""

from __future__ import annotations

from collections.abc import Iterable

from infra.settings import Settings
from tools import checkup, compatibility, stackfile, targets
from tools.errors import Problem
from tools.paths import ROOT
from tools.progress import say
from tools.stack import Stack
from tools.targets import Cluster, choice
from tools.targets.interface import Check


def refuse_bad_start(stack: str, *, cluster: str) -> None:
    """Raise the first unmet precondition of `make up`, after printing the others; nothing has been changed then.

    Raises:
        Problem: something is missing or wrong.

    """
    place = targets.named(cluster, stack)
    problems = [problem for _, check in preconditions(stack, place) for problem in check()]
    for problem in problems[1:]:
        say(f"error: {problem}")
    if problems:
        raise problems[0]


def report(stack: str, *, requested: str) -> int:
    """Print every check with its outcome and return 1 if one failed.

    Args:
        stack: its name.
        requested: the cluster that CLUSTER= names; empty for the one that this machine can run.

    """
    try:
        selection = choice.choose(requested)
    except Problem as problem:
        print(f"  no  a cluster for stacks\n      {problem}")
        return 1
    print(f"   -  cluster {selection}")
    cluster = targets.named(selection.cluster, stack)
    if not _print_all([*preconditions(stack, cluster), *cluster.running()]):
        return 1
    try:
        content = stackfile.read(stack)
        target = cluster.target()
        settings = stackfile.check(stack, content, target.overrides)
        tested = _print("packages of the flow images are tested", lambda: _untested(settings))
        return int(not (_report_stack(Stack(stack, target), settings) and tested))
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


def preconditions(stack: str, cluster: Cluster) -> list[tuple[str, Check]]:
    """Return what must be true for `make up`: title and check, which changes nothing."""
    return [
        (f"stack file of '{stack}' and prefect.yaml", lambda: _files(stack, cluster)),
        ("packages of the images fit each other", lambda: _packages(stack, cluster)),
        *cluster.preconditions(),
    ]


def _files(stack: str, cluster: Cluster) -> list[Problem]:
    try:
        stackfile.load_plan(stack, _settings(stack, cluster))
    except Problem as problem:
        return [problem]
    return []


def _settings(stack: str, cluster: Cluster) -> Settings:
    return stackfile.check(stack, stackfile.read(stack), cluster.overrides)


def _packages(stack: str, cluster: Cluster) -> list[Problem]:
    try:
        settings = _settings(stack, cluster)
    except Problem:
        return []  # reported by the check of the stack file
    return list(compatibility.unfit(compatibility.read(settings, ROOT)))


def _untested(settings: Settings) -> list[Problem]:
    return [*compatibility.untested(compatibility.read(settings, ROOT)), *compatibility.stale(ROOT)]
