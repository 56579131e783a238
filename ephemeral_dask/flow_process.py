"""Pull steps and flow in one process, where Prefect replaces the interpreter of the pull steps by one for the flow.

A new interpreter is needed where the flow might find something else in this one: after pull steps that are not
Prefect's own or that install packages, with another environment, and with code that the steps imported. There, and
where Prefect wants another command, this process is replaced as Prefect does it.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Final

from ephemeral_dask import leases
from ephemeral_dask.pull_steps import reporting

SUPERVISOR: Final = "prefect.runner._workspace_supervisor"
"""Prefect's module that runs pull steps, then becomes the process of the flow."""

ENGINE: Final = "prefect.engine"
"""Prefect's module that runs a flow."""

_LOADED: Final = ("prefect.deployments.steps.core", "prefect.flow_engine")
"""What the two import."""

_HARMLESS: Final = frozenset(
    f"prefect.deployments.steps.{name}"
    for name in ("set_working_directory", "git_clone", "pull.set_working_directory", "pull.git_clone")
)
"""Pull steps that change files and the working directory, and nothing else."""

_EXPECTED: Final = frozenset(
    {
        *("PREFECT__FLOW_RUN_ID", "PREFECT__FLOW_ENTRYPOINT", "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"),
        *("PYTHONPATH", "PWD", "OLDPWD"),
    }
)
"""Variables that differ between pull steps and flow, and that nothing has read before."""


@dataclass(frozen=True)
class _Launch:
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass
class _Preparation:
    """What happened before the flow, and what was there before that."""

    environment: Mapping[str, str]
    modules: frozenset[str]
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    launches: list[_Launch] = field(default_factory=list)


def preload() -> None:
    """Import what pull steps and flow need.

    Raises:
        ImportError: Prefect has no such module.

    """
    for name in (SUPERVISOR, *_LOADED):
        importlib.import_module(name)


def can_run(command: Sequence[str]) -> bool:
    """Return whether this is the command that runs pull steps and then the flow."""
    return tuple(command[:3]) == (sys.executable, "-m", SUPERVISOR)


def run(command: Sequence[str]) -> int:
    """Do what the command does, in this process; return its exit status.

    Raises:
        SystemExit: the flow's process ends by itself.

    """
    try:
        preparation = _Preparation(dict(os.environ), frozenset(sys.modules))
        status = _prepare(command[3:], preparation)
        return _continue(preparation) if preparation.launches else status
    except Exception:  # noqa: BLE001  an interpreter ends in this way
        traceback.print_exc()
        return 1


def _prepare(arguments: Sequence[str], preparation: _Preparation) -> int:
    from prefect.deployments.steps import core  # noqa: PLC0415  not in every process that imports this

    supervisor: Any = importlib.import_module(SUPERVISOR)

    async def launch(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> int:
        preparation.launches.append(_Launch(command, cwd, environment))
        return 0

    supervisor._launch_engine = launch  # noqa: SLF001  Prefect has no public place for it
    core.run_step = reporting(_noting(core.run_step, preparation.steps))
    _become(SUPERVISOR, arguments)
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd())
    status: int = supervisor.main(list(arguments))
    return status


def _noting(run_step: Callable[..., Coroutine[Any, Any, Any]], steps: list[Mapping[str, Any]]) -> Any:
    @wraps(run_step)
    async def run(step: Mapping[str, Any], *arguments: Any, **keywords: Any) -> Any:
        steps.append(step)
        return await run_step(step, *arguments, **keywords)

    return run


def _become(module: str, arguments: Sequence[str]) -> None:
    """Have the arguments of an interpreter that runs a module: plugins of Prefect look at them."""
    sys.argv = [str(sys.modules[module].__file__ if module in sys.modules else module), *arguments]
    sys.orig_argv = [sys.executable, "-m", module, *arguments]


def _continue(preparation: _Preparation) -> int:
    [launch] = preparation.launches
    os.chdir(launch.folder)
    if not _is_as_a_new_interpreter(preparation):
        os.execvpe(launch.command[0], list(launch.command), dict(launch.environment))  # noqa: S606  as Prefect does it
    _find_modules(launch, preparation.environment)
    os.environ.clear()
    os.environ.update(launch.environment)
    _become(ENGINE, ())
    leases.install()
    sys.modules.pop(ENGINE, None)  # the library's copy, beside which runpy would warn of the one that it runs
    runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)
    return 0


def _is_as_a_new_interpreter(preparation: _Preparation) -> bool:
    """Return whether the flow finds here what it would find in a new interpreter."""
    [launch] = preparation.launches
    before, after = preparation.environment, launch.environment
    names = {*before, *after} - _EXPECTED
    return (
        list(launch.command) == [sys.executable, "-m", ENGINE]
        and all(before.get(name) == after.get(name) for name in names)
        and all(_is_harmless(step) for step in preparation.steps)
        and all(_is_installed(name) for name in set(sys.modules) - preparation.modules)
    )


def _is_harmless(step: Mapping[str, Any]) -> bool:
    return all(name in _HARMLESS and not (inputs or {}).get("requires") for name, inputs in step.items())


def _is_installed(module: str) -> bool:
    """Return whether a module belongs to the interpreter and its packages, or to this one."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module.partition(".")[0] == __name__.partition(".")[0]:
        return True
    return any(Path(file).is_relative_to(prefix) for prefix in {sys.prefix, sys.base_prefix})


def _find_modules(launch: _Launch, before: Mapping[str, str]) -> None:
    """Set the path for imports to that of an interpreter with the flow's environment."""
    earlier, path = _python_path(before), _python_path(launch.environment)
    first = [] if sys.flags.safe_path else [str(launch.folder)]
    own = [entry for entry in sys.path[len(first) :] if entry not in (*earlier, *path)]
    sys.path[:] = [*first, *path, *own]
    importlib.invalidate_caches()


def _python_path(environment: Mapping[str, str]) -> list[str]:
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    return [str(Path(entry).absolute()) for entry in entries if entry]
