"""Starting components in order, noticing at once when one ends, and telling how each is."""

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
FRUGAL = {"GOGC": "50"}
"""Go collects garbage twice as early: 100 MiB less in all, for a twentieth more of the API server's CPU time."""
LAST_WORDS = 200
"""Characters of a log line that a status shows."""


@dataclass(frozen=True)
class ComponentStatus:
    """How one component is: alive when its process runs and answers; if not, `detail` says what is wrong."""

    name: str
    pid: int | None
    alive: bool
    detail: str = ""


def alive(place: Layout, name: str) -> Identity | None:
    """Return the process of a component, if it runs."""
    identity = process.read_pid_file(place.pid_file(name))
    return identity if identity and identity.alive() else None


def running(place: Layout) -> dict[str, Identity]:
    """Return the components that run, by the pid files alone: whatever version of this program started them."""
    found = {file.stem: alive(place, file.stem) for file in sorted(place.run.glob("*.pid"))}
    return {name: identity for name, identity in found.items() if identity}


def status(place: Layout, component: Component) -> ComponentStatus:
    """Look at a component's process, and ask it."""
    noted = process.read_pid_file(place.pid_file(component.name))
    if noted is None:
        return ComponentStatus(component.name, None, alive=False, detail="not started")
    log = place.log(component.name)
    if not noted.alive():
        last = process.tail(log, 1)[:LAST_WORDS]
        detail = f"ended; its last words: {last}" if last else "ended without a word"
    elif component.ready():
        return ComponentStatus(component.name, noted.pid, alive=True)
    else:
        detail = f"does not answer, see {log}"
    return ComponentStatus(component.name, noted.pid, alive=False, detail=detail)


def start(place: Layout, component: Component) -> None:
    """Start one component.

    Raises:
        Problem: when its program cannot be executed.

    """
    # No proxy settings: everything that these talk to is on this machine. BuildKit fetches from the world.
    keep = os.environ if component.name == "buildkitd" else {"HOME": os.environ.get("HOME", "/root"), **FRUGAL}
    try:
        process.start(
            (*component.wrapper, *component.argv),
            log=place.log(component.name),
            pid_file=place.pid_file(component.name),
            mark=str(place.root),
            environment={**keep, "PATH": search_path(), **component.environment},
        )
    except OSError as error:
        raise Problem(
            f"{component.argv[0]} of the local cluster cannot be started: {error.strerror}",
            remedy="Have it built anew, or check what is in its place",
        ) from error


def start_all(
    place: Layout,
    wanted: Sequence[Component],
    then: Mapping[str, Callable[[], object]],
    *,
    seconds: float = DEADLINE,
) -> None:
    """Start each component as soon as those that it needs are ready, and wait for all.

    Args:
        place: the cluster.
        wanted: the components; what they need and is not among them is taken to be ready.
        then: what to do once a component is ready, before it counts as ready.
        seconds: how long each may take.

    Raises:
        Problem: when one ends or is not ready in time.

    """
    names = {component.name for component in wanted}
    begun: dict[str, float] = {}
    ready: set[str] = set()

    def advance() -> bool:
        raise_if_ended(place, begun)
        for component in wanted:
            if component.name in ready:
                continue
            if component.name not in begun:
                if not set(component.after) & names - ready:
                    start(place, component)
                    begun[component.name] = time.monotonic()
            elif component.ready():
                then.get(component.name, lambda: None)()
                ready.add(component.name)
            elif time.monotonic() - begun[component.name] > seconds:
                raise failure(place, component.name, f"was not ready within {seconds:.0f} s")
        return ready == names

    until(advance, seconds=seconds * (len(names) + 1), interval=0.1)


def raise_if_ended(place: Layout, names: Iterable[str]) -> None:
    """Raise for a component that was started and runs no more.

    Raises:
        Problem: with its last words.

    """
    for name in names:
        if alive(place, name) is None:
            raise failure(place, name, "ended while the cluster was starting")


def failure(place: Layout, name: str, how: str) -> Problem:
    """Say that a component failed, with the end of its log."""
    log = place.log(name)
    return Problem(
        f"The local cluster's {name} {how}",
        remedy=f"Its last words are below, all of them in {log}; if they are about damaged data, "
        "`python -m tools.cluster purge` makes the next start an empty one",
        detail=process.tail(log),
    )
