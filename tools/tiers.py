"""The tiers of tests, and what each needs before it can run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tools import toolchain
from tools.errors import Problem
from tools.paths import ROOT
from tools.progress import duration, say
from tools.toolchain.pulumi import ensure_pulumi

_BIN: Final = ROOT / ".venv" / "bin"
_BY_FILE: Final = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")
"""Two workers, each with whole files: the fixtures of a file are made once."""
_BY_TEST: Final = ("--numprocesses=2", "--dist=loadgroup")
"""Two workers, each with servers of its own and with single tests, which mostly wait for processes that start. Tests of
one `xdist_group` stay on one worker, in their order, and the largest group goes first."""


def run(tiers: Sequence[str]) -> int:
    """Run tiers in order and return 0 only if every one of them ran and passed.

    A tier that cannot run here says why and counts as failed: a test that did not run proves nothing.

    Raises:
        Problem: this is a repository that has adopted the program, and so has none of its tests.

    """
    if not (ROOT / "tests" / "unit" / "test_tiers.py").exists():
        raise Problem(
            "The tests of the program are not in a repository that has adopted it",
            remedy="Run your own tests with your own command, such as .venv/bin/python -m pytest after adding pytest to"
            " the group `flows`",
        )
    verdicts: dict[str, str] = {}
    for tier in tiers:
        say(f"==> tests: {tier}")
        started = time.monotonic()
        try:
            passed = TIERS[tier]()
        except Problem as problem:
            print(f"error: {problem}", file=sys.stderr)
            verdicts[tier] = "did not run"
            continue
        verdicts[tier] = f"{'passed' if passed else 'failed'} after {duration(time.monotonic() - started)}"
    for tier, verdict in verdicts.items():
        say(f"    {tier}: {verdict}")
    return 0 if all(verdict.startswith("passed") for verdict in verdicts.values()) else 1


def _lint() -> bool:
    commands = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    )
    outcomes = [_call([str(_BIN / command[0]), *command[1:]], {}) for command in commands]
    actionlint = toolchain.ensure(toolchain.LINT)["actionlint"] / "actionlint"
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    return all([*outcomes, _call([str(actionlint), *workflows], {})])


def _unit() -> bool:
    return _pytest("unit", {}, *_BY_FILE)


def _engine() -> bool:
    """Run Pulumi for real: on a Prefect server, and on a Kubernetes control plane in which no container runs."""
    toolchain.ensure(["kubernetes", "etcd"])
    return _pytest("engine", ensure_pulumi().environment, *_BY_TEST)


def _e2e() -> bool:
    """Destroy and repair local clusters, and run the product on them, with both networks."""
    toolchain.ensure([*toolchain.CLUSTER, *toolchain.NETWORKS])
    ensure_pulumi()
    return _pytest("e2e", {})


def _e2e_full() -> bool:
    """Run what takes too long for the e2e tier: each failed start, evictions, all of the README, every sample flow."""
    toolchain.ensure([*toolchain.CLUSTER, *toolchain.NETWORKS])
    ensure_pulumi()
    return _pytest("full", {})


def _crash_sweep() -> bool:
    """Kill an update at every step of every type of resource: too long for each run of the engine tier."""
    return _pytest("engine/test_interrupted.py", ensure_pulumi().environment, "--every-step", *_BY_TEST)


def _pytest(tests: str, environment: Mapping[str, str], *options: str) -> bool:
    return _call([str(_BIN / "pytest"), f"tests/{tests}", *options], environment)


def _call(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0


TIERS: Final[Mapping[str, Callable[[], bool]]] = {
    "lint": _lint,
    "unit": _unit,
    "engine": _engine,
    "e2e": _e2e,
    "e2e-full": _e2e_full,
    "crash-sweep": _crash_sweep,
}
