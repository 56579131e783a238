"""How a command of the documentation is tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """Where a command is run."""

    E2E = "in the e2e tier, on a stack that is up"
    FULL = "in the e2e-full tier, on a stack that is up"
    EXAMPLE = "in the e2e-full tier, as a step of the example flow"
    NAMED = "by a test that is named"
    ELSEWHERE = "not here"


@dataclass(frozen=True, kw_only=True)
class Test:
    """How a command is tested.

    Attributes:
        way: where it is run.
        prints: a regular expression that its output must match.
        before: what is typed before it in the same shell.
        then: what is typed after it in the same shell.
        serves: a URL that must answer while it runs; it is ended with Ctrl-C.
        by: `file::function` of the test that types it, or does the same.
        reason: why no test types it.
        instead: what it shows -> what is typed in its place.
        environment: what its shell has set before, to answer a question that it asks on a terminal.
        live_run: whether `<run>` is a run that is under way; else it is one that has ended.
        takes_down: whether the stack is gone after it.

    """

    way: Way
    prints: str = ""
    before: str = ""
    then: str = ""
    serves: str = ""
    by: str = ""
    reason: str = ""
    instead: Mapping[str, str] | None = None
    environment: Mapping[str, str] | None = None
    live_run: bool = False
    takes_down: bool = False
