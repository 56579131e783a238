"""Starting components in order, detecting at once that one has ended, and reporting the status of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tools.cluster import process
from tools.cluster.component import Component
from tools.cluster.layout import Layout
from tools.cluster.process import Identity
from tools.cluster.programs import search_path
from tools.cluster.wait import until
from tools.errors import Problem

DEADLINE = 120.0
"""Seconds for one component to become ready; on an idle machine each takes less than ten."""
GO_MEMORY = {"GOGC": "50"}
"""Go collects garbage twice as often: 100 MiB less in all, for 5 % more CPU time of the API server."""
LOG_EXCERPT = 200
"""Characters of a log line that a status shows."""


@dataclass(frozen=True)
class ComponentStatus:
    """The status of one component: `alive` when its process runs and is ready; else `detail` says what is wrong."""

    name: str
    pid: int | None
    alive: bool
    detail: str = ""


def live_process(place: Layout, name: str) -> Identity | None:
    """Return the process of a component; None when it does not run."""
    identity = process.read_pid_file(place.pid_file(name))
    return identity if identity and identity.alive() else None


def running(place: Layout) -> dict[str, Identity]:
    """Return the processes of the running components by their pid files, whatever version of this code started them."""
    processes = {file.stem: live_process(place, file.stem) for file in sorted(place.run.glob("*.pid"))}
    return {name: identity for name, identity in processes.items() if identity}


def status(place: Layout, component: Component) -> ComponentStatus:
    """Check a component's process, and then its readiness."""
    identity = process.read_pid_file(place.pid_file(component.name))
    if identity is None:
        return ComponentStatus(component.name, None, alive=False, detail="not started")
    log = place.log(component.name)
    if not identity.alive():
        last = process.tail(log, 1)[:LOG_EXCERPT]
        detail = f"ended; the last line of its log: {last}" if last else f"ended; its log {log} is empty"
    elif component.ready():
        return ComponentStatus(component.name, identity.pid, alive=True)
    else:
        detail = f"not ready, see {log}"
    return ComponentStatus(component.name, identity.pid, alive=False, detail=detail)


def start(place: Layout, component: Component) -> None:
    """Start one component.

    Raises:
        Problem: its program cannot be executed.

    """
    # Only BuildKit downloads; the others connect to this machine alone, so they get no proxy settings.
    inherited = os.environ if component.name == "buildkitd" else {"HOME": os.environ.get("HOME", "/root"), **GO_MEMORY}
    try:
        process.start(
            (*component.wrapper, *component.argv),
            log=place.log(component.name),
            pid_file=place.pid_file(component.name),
            mark=str(place.root),
            environment={**inherited, "PATH": search_path(), **component.environment},
        )
    except OSError as error:
        raise Problem(
            f"{component.argv[0]} of the local cluster cannot be started: {error.strerror}",
            remedy="Remove it from the cache so that it is built again, or check which file is in its place",
        ) from error


def start_all(
    place: Layout,
    components: Sequence[Component],
    hooks: Mapping[str, Callable[[], object]],
    *,
    seconds: float = DEADLINE,
) -> None:
    """Start each component as soon as those that it depends on are ready, and wait for all.

    Args:
        place: the cluster.
        components: the components. A dependency that is not among them counts as ready.
        hooks: name of a component -> function that is called when it is ready, before its dependents start.
        seconds: how long each component may take to become ready.

    Raises:
        Problem: a component ended, or was not ready in time.

    """
    names = {component.name for component in components}
    started: dict[str, float] = {}
    ready: set[str] = set()

    def advance() -> bool:
        raise_if_ended(place, started)
        for component in components:
            if component.name in ready:
                continue
            if component.name not in started:
                if not set(component.after) & names - ready:
                    start(place, component)
                    started[component.name] = time.monotonic()
            elif component.ready():
                hooks.get(component.name, lambda: None)()
                ready.add(component.name)
            elif time.monotonic() - started[component.name] > seconds:
                raise failure(place, component.name, f"was not ready within {seconds:.0f} s")
        return ready == names

    until(advance, seconds=seconds * (len(names) + 1), interval=0.1)


def raise_if_ended(place: Layout, names: Iterable[str]) -> None:
    """Raise for a component that was started and does not run any more.

    Raises:
        Problem: a component has ended; the detail is the end of its log.

    """
    for name in names:
        if live_process(place, name) is None:
            raise failure(place, name, "ended while the cluster was starting")


def failure(place: Layout, name: str, how: str) -> Problem:
    """Return the problem of a component that failed, with the end of its log."""
    log = place.log(name)
    return Problem(
        f"The local cluster's {name} {how}",
        remedy=f"The end of its log is below, the whole log in {log}. If it reports damaged data, "
        "`python -m tools.cluster purge` deletes the cluster's data, so that it starts empty",
        detail=process.tail(log),
    )
