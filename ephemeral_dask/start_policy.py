"""How long a start is waited for, by what is wrong with it. Pure: the clock comes in with every question."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ephemeral_dask.contract.causes import Cause

if TYPE_CHECKING:
    from ephemeral_dask.diagnosis import Diagnosis

CONFIRMED_AFTER: Final = 5.0
"""Seconds that a permanent cause must last before the start fails: a passing error must not end a run."""

NAMED_AFTER: Final = 20.0
"""Seconds that a cause must last before the run's log names it."""

NAMED_EVERY: Final = 60.0
"""Seconds between two log lines that name the same cause."""

LOST_AFTER: Final = 20.0
"""Seconds after which a cluster that the operator has not created, or only in part, is recreated. A working operator
acts within 2 s, and one that is busy with other clusters takes about as long for the second part as for the first."""


class Action(Enum):
    """What to do about a start that is not complete."""

    WAIT = auto()
    NAME = auto()
    """Wait, and name the cause in the run's log."""
    RETRY = auto()
    """Delete the cluster and create it again under another name."""
    FAIL = auto()


@dataclass(kw_only=True)
class StartPolicy:
    """Decides about one attempt to bring up a cluster.

    Attributes:
        began: the moment at which the attempt began.
        deadline: the moment at which the start fails whatever the cause.
        may_retry: whether another attempt may follow this one.

    """

    began: float
    deadline: float
    may_retry: bool
    _since: dict[Cause, float] = field(default_factory=dict)
    _named: dict[Cause, float] = field(default_factory=dict)

    def decide(self, diagnosis: Diagnosis, now: float) -> Action:
        """Return what to do.

        Args:
            diagnosis: the latest one.
            now: seconds of a clock that never goes back.

        """
        self._since = {diagnosis.cause: self._since.get(diagnosis.cause, now)}
        since = self._since[diagnosis.cause]
        lasted = now - since
        if now >= self.deadline or (diagnosis.permanent and lasted >= CONFIRMED_AFTER):
            return Action.FAIL
        if diagnosis.cause is Cause.OPERATOR and self.may_retry and lasted >= max(LOST_AFTER, since - self.began):
            return Action.RETRY
        if lasted >= NAMED_AFTER and now - self._named.get(diagnosis.cause, -NAMED_EVERY) >= NAMED_EVERY:
            self._named[diagnosis.cause] = now
            return Action.NAME
        return Action.WAIT
