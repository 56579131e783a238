"""What the verbs ask of a cluster, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tools.errors import Problem
from tools.target import Target

Check = Callable[[], Sequence[Problem]]
"""Returns what is wrong; changes nothing."""


class Cluster(Protocol):
    """A cluster that stacks are deployed to."""

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What a stack's configuration says on it, as far as that is known before it runs."""

    def preconditions(self) -> list[tuple[str, Check]]:
        """Return what must be true before it is started and a stack is deployed: title and check."""

    def running(self) -> list[tuple[str, Check]]:
        """Return what must be true while it runs: title and check."""

    def start(self) -> str:
        """Start it if it is this project's own, and return in words where it is.

        Raises:
            Problem: it cannot run on this machine, or a part of it did not start.

        """

    def target(self) -> Target:
        """Return how to use it.

        Raises:
            Problem: it does not run or does not answer.

        """

    def stop(self) -> None:
        """Stop it and undo what it changed on this machine.

        Raises:
            Problem: it is not this project's own, or something cannot be removed.

        """
