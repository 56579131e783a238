"""What a run ends with when the machines below it are lost, and not its own code.

None is a subclass of Exception: Prefect ends a run that raises one of them as Crashed, and a flow that tolerates the
errors of its tasks does not take the loss of its cluster for one of these.
"""

from __future__ import annotations


class ClusterLostError(BaseException):
    """The run's Dask cluster was lost and not replaced. The message names the cause and what had no result."""


class WorkersKilledError(BaseException):
    """Dask gave a task up, because each worker that ran it was killed. The message names the cause."""


class ParentLostError(BaseException):
    """A task that waits for tasks of its own lost the cluster. The flow pod decides whether it runs again."""
