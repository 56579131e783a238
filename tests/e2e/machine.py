"""Local clusters, of which a machine has room for one at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.newcomer import Done, Newcomer, stack_state
from tests.e2e.stage import private_place
from tools.cluster import Layout, LocalCluster
from tools.cluster.files import remove_tree
from tools.file_lock import locked

_IN_THIS_PROCESS = threading.Lock()


@contextlib.contextmanager
def taken_over() -> Iterator[None]:
    """Have the machine to these tests alone, without what an earlier run left that was killed.

    Waits for a run that is going on: its clusters would be removed. A run that ended well leaves images and caches of
    builds, and nothing else.

    Raises:
        RuntimeError: this process has it already, and would wait for itself.

    """
    if not _IN_THIS_PROCESS.acquire(blocking=False):
        message = "tests/e2e and tests/full have a cluster each: run one after the other"
        raise RuntimeError(message)
    try:
        with _alone():
            yield
    finally:
        _IN_THIS_PROCESS.release()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    unfinished = stack_state().with_suffix(".unfinished")
    with locked(stack_state().with_suffix(".lock"), "runs end-to-end tests"):
        if unfinished.exists():
            for state in (stack_state(), private_place().root.parent):
                LocalCluster(Layout(root=state / "cluster")).down(purge=True)
                remove_tree(state)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        yield
        # Not after an error: who ends with one may have left a cluster.
        unfinished.unlink()


class Machine:
    """Keeps the cluster that was asked for last, until another one is asked for.

    Test modules that ask for the same one share it, and any test can run alone: it gets what it asks for.
    """

    def __init__(self) -> None:
        self._name = ""
        self._value: Any = None
        self._open = contextlib.ExitStack()

    def provide(self, name: str, start: Callable[[], AbstractContextManager[Any]]) -> Any:
        """Return what a context manager of this name yields, entered now unless it is the current one."""
        if name != self._name:
            self.clear()
            self._value = self._open.enter_context(start())
            self._name = name
        return self._value

    def clear(self) -> None:
        """Take down what is up."""
        self._name, self._value = "", None
        self._open.close()


@dataclass(frozen=True)
class Deployed:
    """Stack dev on a local cluster of its own, from one `make up`.

    Attributes:
        newcomer: who brought it up.
        first: that `make up`.
        since: when it began: an audit log of the same folder goes further back.
        killed: runs whose processes were killed.
        begun: runs that several tests wait for, by deployment.

    """

    newcomer: Newcomer
    first: Done
    since: str
    killed: list[str] = field(default_factory=list)
    begun: dict[str, str] = field(default_factory=dict)
