"""What `task.submit()` returns: a future that outlives the Dask cluster that its task was first submitted to."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from distributed import CancelledError
from distributed.comm.core import CommClosedError
from prefect.client.schemas.objects import State
from prefect.states import Crashed
from prefect_dask.task_runners import PrefectDaskFuture

from ephemeral_dask.lost import ClusterLostError, ParentLostError

if TYPE_CHECKING:
    from ephemeral_dask.submission import Submission

R = TypeVar("R")

_CONNECTION_ERRORS: Final = (CancelledError, CommClosedError, OSError, RuntimeError)
"""What a request raises whose scheduler is gone. Others raise these too; the client knows which it is."""


class Keeper(Protocol):
    """What keeps futures alive when their cluster is lost: see `ephemeral_dask.recovery`."""

    def obtain(self, future: RecoverableFuture[Any]) -> None:
        """Return when the future has another Dask future, or a final state without one.

        Raises:
            ClusterLostError: the cluster was not replaced.

        """

    def explain(self, error: BaseException, submission: Submission) -> BaseException:
        """Return what a task run ends with that Dask gave up."""


class RecoverableFuture(PrefectDaskFuture[R]):
    """The future of a task that the flow itself submitted.

    Args:
        wrapped_future: the Dask future, with its submission.
        keeper: is asked for help when the cluster is lost.

    """

    submission: Submission

    def __init__(self, wrapped_future: Any, keeper: Keeper) -> None:
        super().__init__(task_run_id=wrapped_future.task_run_id, wrapped_future=wrapped_future)
        self.submission = wrapped_future.submission
        self._keeper = keeper
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Any], None]] = []
        self.follow(wrapped_future)

    def __reduce__(self) -> Any:
        return PrefectDaskFuture, (self.task_run_id, self._wrapped_future)

    @property
    def final(self) -> State[Any] | None:
        """Its final state, if it is in this process."""
        return self._final_state

    @property
    def state(self) -> State[Any]:
        """Its final state with the result, brought from the cluster if need be, or what the Prefect server knows."""
        if not self.pending:
            self._wait(None)
        return super().state

    @property
    def pending(self) -> bool:
        """Whether it has no result yet, and may still get one."""
        return not self._done.is_set()

    @property
    def settled(self) -> bool:
        """Whether its outcome is in this process, so that it needs no cluster."""
        return self._final_state is not None or self._error is not None

    def follow(self, wrapped_future: Any) -> None:
        """Take the outcome of this Dask future for its own from now on."""
        self._wrapped_future = wrapped_future
        self._done.clear()
        ours = weakref.ref(self)  # the client holds on to callbacks until they are called

        def ended(dask_future: Any) -> None:
            future = ours()
            if future is not None:
                future._ended(dask_future)  # noqa: SLF001 - itself

        wrapped_future.add_done_callback(ended)

    def settle(self, state: State[Any]) -> None:
        """End with a state that is known without the cluster."""
        self._final_state = state
        self.submission.finished, self.submission.state = True, state
        self._finish()

    def fail(self, error: BaseException) -> None:
        """End with an error that is not the task's own."""
        self._error = error
        self._final_state = Crashed(message=str(error), data=error)
        self._finish()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(fn)
                return
        fn(self)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the task. Its result stays on the Dask workers, which may hold more than this process.

        A result that was lost after the end is not computed again for this.

        Raises:
            ClusterLostError: the task did not end, because the cluster was lost and not replaced.

        """
        self._wait(None if timeout is None else time.monotonic() + timeout, bring=False)
        if isinstance(self._error, ClusterLostError):
            raise self._error

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._wait(deadline):
            self._keeper.obtain(self)
        if self._error is not None and raise_on_failure:
            raise self._error
        if self._final_state is None:
            raise TimeoutError(f"Task run {self.task_run_id} did not complete within {timeout} seconds")
        get_result: Callable[..., R] = self._final_state.result  # whose annotation forgets _sync
        return get_result(raise_on_failure=raise_on_failure, _sync=True)

    def _wait(self, deadline: float | None, *, bring: bool = True) -> bool:
        """Wait until the outcome is in this process; return whether it was lost instead.

        Args:
            deadline: on the monotonic clock; None for no end.
            bring: False to leave a result on the Dask workers.

        """
        while not self.settled:
            if not self._done.wait(_left(deadline)):
                return False
            if not bring and self._wrapped_future.status == "finished":
                return False
            if self._collect(deadline):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return False

    def _ended(self, dask_future: Any) -> None:
        if dask_future is not self._wrapped_future:
            return  # of a cluster that was lost since
        if dask_future.status == "cancelled" and dask_future.client.lost.is_set():
            return  # the keeper submits it again, or ends it
        self.submission.finished = True
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def _collect(self, deadline: float | None) -> bool:
        """Bring the final state from the cluster into this process; return whether it is gone with the cluster."""
        dask_future = self._wrapped_future
        try:
            outcome = dask_future.result(timeout=_left(deadline))
        except Exception as error:  # noqa: BLE001 - the scheduler may be gone in any way
            if self.settled or dask_future is not self._wrapped_future:
                return False
            if self._lost(dask_future, error):
                return True
            if not isinstance(error, TimeoutError) or dask_future.status == "error":
                # Dask gave the task up: an error of the task itself is in its final state.
                self.fail(self._keeper.explain(error, self.submission))
        else:
            self._final_state = outcome
        return False

    def _lost(self, dask_future: Any, error: Exception) -> bool:
        """Return whether a request failed because the scheduler is gone."""
        client = dask_future.client
        if dask_future.status in ("error", "cancelled") or not isinstance(error, _CONNECTION_ERRORS):
            return bool(client.lost.is_set())
        return bool(client.is_lost())


class ChildFuture(PrefectDaskFuture[R]):
    """The future of a task that another task submitted, on a worker. It ends with the cluster, as its parent does."""

    def wait(self, timeout: float | None = None) -> None:
        try:
            outcome = self._wrapped_future.result(timeout=timeout)
        except CancelledError as error:
            raise ParentLostError("the Dask cluster of this task was lost") from error
        except Exception:  # noqa: BLE001 - as Prefect's own future
            return
        if isinstance(outcome, State):
            self._final_state = outcome

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        try:
            result: R = super().result(timeout, raise_on_failure)
        except CancelledError as error:
            raise ParentLostError("the Dask cluster of this task was lost") from error
        return result


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
