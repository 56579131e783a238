"""How long a start is waited for, by what is wrong with it. Pure: the clock comes in with every question."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ephemeral_dask.contract.causes import Cause

if TYPE_CHECKING:
    from ephemeral_dask.diagnosis import Diagnosis

CONFIRMED_AFTER: Final = 5.0
"""Seconds that a hopeless cause must last before the start fails: a passing error must not end a run."""

NAMED_AFTER: Final = 20.0
"""Seconds that a cause must last before the run's log names it."""

NAMED_EVERY: Final = 60.0
"""Seconds between two lines that name the same cause."""

LOST_AFTER: Final = 20.0
"""Seconds after which a cluster that the operator has not, or not completely, made is made anew. An operator
that is there acts within 2 s."""


class Verdict(Enum):
    """What to do about a start that is not complete."""

    WAIT = auto()
    NAME = auto()
    """Wait, and name the cause in the run's log."""
    AGAIN = auto()
    """Delete the cluster and make it anew under another name."""
    FAIL = auto()


@dataclass(kw_only=True)
class Patience:
    """Judges one attempt to bring up a cluster.

    Attributes:
        deadline: the moment at which the start fails whatever the cause.
        may_retry: whether another attempt may follow this one.

    """

    deadline: float
    may_retry: bool
    _since: dict[Cause, float] = field(default_factory=dict)
    _named: dict[Cause, float] = field(default_factory=dict)

    def judge(self, diagnosis: Diagnosis, now: float) -> Verdict:
        """Decide, given today's diagnosis and a clock that never goes back, in seconds."""
        self._since = {diagnosis.cause: self._since.get(diagnosis.cause, now)}
        lasted = now - self._since[diagnosis.cause]
        if now >= self.deadline or (diagnosis.hopeless and lasted >= CONFIRMED_AFTER):
            return Verdict.FAIL
        if diagnosis.cause is Cause.OPERATOR and self.may_retry and lasted >= LOST_AFTER:
            return Verdict.AGAIN
        if lasted >= NAMED_AFTER and now - self._named.get(diagnosis.cause, -NAMED_EVERY) >= NAMED_EVERY:
            self._named[diagnosis.cause] = now
            return Verdict.NAME
        return Verdict.WAIT
